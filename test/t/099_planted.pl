# The tests are tested: bugs are planted, one at a time, and the test that should notice must fail.  These are the fast
# ones; "make torture SCENARIO=S2" plants all of test/planted.
# slow: it builds the extension eight times

use strict;
use warnings;

use FindBin;

exec "$FindBin::RealBin/../../tools/planted", '--short' or die "tools/planted: $!\n";
