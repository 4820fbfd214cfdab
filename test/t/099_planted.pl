# Eight bugs are planted, one at a time, and each must be noticed by the test that guards its place.
# alone: it builds, and starts servers of its own
use strict;
use warnings;
use FindBin;

exec "$FindBin::RealBin/../../tools/planted", '--short' or die "tools/planted: $!\n";
