# omnimsg: the extension (PGXS), the relay, the simulator and what runs them.
# "make help" lists the targets.

# the first target is what plain "make" does; PGXS says below what it consists of
all:

EXTENSION = omnimsg
MODULE_big = omnimsg
DATA = omnimsg--1.0.sql omnimsg--1.0--1.1.sql omnimsg--1.1--1.2.sql
PGFILEDESC = "omnimsg - text messages that arrive, are understood and are answered lawfully"

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/core/*.c)))

# pg_regress 15 knows no --expecteddir: it looks into ./expected, beside where it is called
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=omnimsg
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=omnimsg

WARNINGS = -Wall -Wextra -Werror -Wno-unused-parameter
PG_CFLAGS = $(WARNINGS) -std=gnu11 -fvisibility=hidden
PG_CPPFLAGS = -Isrc -Isrc/core
SHLIB_LINK = -lsodium -lcurl
EXTRA_CLEAN = build
# bitcode would need the whole of LLVM and buys a C function nothing
override with_llvm = no

# Without PGXS, as on a machine that has nothing installed yet, the targets that need no
# pg_config still work: "make packages", and "make run" and "make test", which begin with it.
PG_CONFIG = pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
else
bindir = /usr/local/bin
all install installcheck uninstall:
	@echo 'PGXS was not found ("$(PG_CONFIG) --pgxs" names nothing).' >&2
	@echo '"make packages" installs it, or give PG_CONFIG=/path/to/pg_config.' >&2
	@exit 1
clean distclean:
	rm -rf build omnimsg.so src/*.o src/core/*.o
endif

# a header concerns few files, and all of them compile in seconds
$(OBJS): $(wildcard src/*.h src/core/*.h)

# ---- relay and simulator ----

PROGRAM_CFLAGS = -std=gnu11 $(WARNINGS) -O2 -g -MMD -MP -fPIE -fstack-protector-strong \
	-D_FORTIFY_SOURCE=2 -Isrc/core
PROGRAM_LDFLAGS = -pie -Wl,-z,relro,-z,now
RELAY_CPPFLAGS = -Irelay -I$(shell $(PG_CONFIG) --includedir 2>/dev/null)
SIMULATOR_CPPFLAGS = -Itools

CORE = $(sort $(wildcard src/core/*.c))
CORE_OBJS = $(CORE:%.c=build/program/%.o)
RELAY_OBJS = $(patsubst %.c,build/program/%.o,$(sort $(wildcard relay/*.c)))
SIMULATOR_OBJS = $(patsubst %.c,build/program/%.o,$(sort $(wildcard tools/simulator*.c)))

relay: build/omnimsg-relay
simulator: build/omnimsg-simulator

build/omnimsg-relay: $(RELAY_OBJS) $(CORE_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^ -lcivetweb -lsodium -lpq -lsqlite3 -lpthread

build/omnimsg-simulator: $(SIMULATOR_OBJS) $(CORE_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^ -lcivetweb -lsodium -lcurl -lpthread

build/program/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_CFLAGS) $(PROGRAM_CPPFLAGS) -c -o $@ $<

$(RELAY_OBJS): PROGRAM_CPPFLAGS = $(RELAY_CPPFLAGS)
$(SIMULATOR_OBJS): PROGRAM_CPPFLAGS = $(SIMULATOR_CPPFLAGS)

# where deploy/omnimsg-relay.service looks for it; not beside the server's own programs
relay_bindir = /usr/local/bin
install: install-relay
install-relay: relay
	mkdir -p '$(DESTDIR)$(relay_bindir)'
	install -m 755 build/omnimsg-relay '$(DESTDIR)$(relay_bindir)/omnimsg-relay'

uninstall: uninstall-relay
uninstall-relay:
	rm -f '$(DESTDIR)$(relay_bindir)/omnimsg-relay'

# ---- how well and how fast texts are understood ----

# after a change to intent_words.txt
intent-words:
	perl tools/intent_words.pl src/core/intent_words.txt words >src/core/intent_words.new
	mv src/core/intent_words.new src/core/intent_words.c
	perl tools/intent_words.pl src/core/intent_words.txt names >src/core/intent_words.new
	mv src/core/intent_words.new src/core/intent_names.h

INTENT_OBJS = $(patsubst %,build/program/src/core/%.o,$(basename $(notdir \
	$(wildcard src/core/intent*.c))) letters utf8)
SCORE_FILES = test/data/optout_dev.tsv test/data/optout_external.tsv test/data/intent_texts.tsv \
	test/data/intent_texts_second.tsv test/data/intent_texts_third.tsv \
	test/data/intent_texts_fourth.tsv test/data/intent_texts_fifth.tsv \
	test/data/intent_texts_sixth.tsv

build/score: build/program/tools/score.o $(INTENT_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^

build/bench_intent: build/program/bench/intent.o $(INTENT_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^

# load for the relay, with the simulator's webhooks
LOAD_OBJS = $(patsubst %,build/program/%.o,bench/load bench/load_webhook tools/simulator_json tools/simulator_key \
	tools/simulator_message tools/simulator_util)

build/bench_load: $(LOAD_OBJS) $(CORE_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^ -lsodium

# signatures for the webhooks that the database makes
SIGN_OBJS = $(patsubst %,build/program/%.o,bench/sign tools/simulator_key tools/simulator_util)

build/bench_sign: $(SIGN_OBJS) $(CORE_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^ -lsodium

$(LOAD_OBJS) $(SIGN_OBJS): PROGRAM_CPPFLAGS = $(SIMULATOR_CPPFLAGS)

# the floor of sending
build/floor_post: build/program/bench/floor_post.o
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^ -lcurl

score: build/score
	build/score $(SCORE_FILES) -p test/data/private_chat.txt

bench-intent: build/bench_intent
	build/bench_intent $(SCORE_FILES)

# ---- unit tests (gcc) and fuzz targets (clang), under ASan and UBSan ----

SANITIZE = address,undefined
UNIT_CFLAGS = -std=gnu11 $(WARNINGS) -O1 -g -MMD -MP -fsanitize=$(SANITIZE) \
	-fno-sanitize-recover=all -fno-omit-frame-pointer -Isrc/core -Irelay -Itools
FUZZ_CC = clang
FUZZ_CFLAGS = -std=gnu11 $(WARNINGS) -O2 -g -MMD -MP -fsanitize=fuzzer-no-link,$(SANITIZE) \
	-fno-sanitize-recover=all $(RELAY_CPPFLAGS) -Isrc/core -Itools

UNIT_TESTS = $(patsubst test/%.c,build/%,$(sort $(wildcard test/unit/test_*.c)))
FUZZ_TARGETS = $(patsubst test/%.c,build/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
UNIT_CORE = $(CORE:%.c=build/unit/%.o)
FUZZ_CORE = $(CORE:%.c=build/fuzz/%.o)

unit-tests: $(UNIT_TESTS)
fuzz-targets: $(FUZZ_TARGETS)

build/unit/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<

# these compare each letter of a text with tables and each word with thousands; to be told of each comparison takes
# libFuzzer half the time, and it has the words from the dictionary
FUZZ_WORDS = $(filter src/core/intent% src/core/template%,$(CORE)) src/core/letters.c src/core/segment.c src/core/utf8.c
$(FUZZ_WORDS:%.c=build/fuzz/%.o): FUZZ_CFLAGS += -fno-sanitize-coverage=trace-cmp

# test_relay_X.c and test_simulator_X.c test one pure file of those programs
build/unit/test_relay_%: build/unit/test/unit/test_relay_%.o build/unit/relay/%.o $(UNIT_CORE)
	$(CC) -fsanitize=$(SANITIZE) -o $@ $^ -lsodium -lsqlite3 -lpthread

build/unit/test_relay_spool_file: build/unit/relay/spool_place.o build/unit/relay/spool_record.o

build/unit/test_simulator_%: build/unit/test/unit/test_simulator_%.o \
		build/unit/tools/simulator_%.o build/unit/tools/simulator_util.o $(UNIT_CORE)
	$(CC) -fsanitize=$(SANITIZE) -o $@ $^ -lsodium -lpthread

build/unit/test_%: build/unit/test/unit/test_%.o $(UNIT_CORE)
	$(CC) -fsanitize=$(SANITIZE) -o $@ $^ -lsodium -lpthread

build/fuzz/fuzz_relay_%: build/fuzz/test/fuzz/fuzz_relay_%.o build/fuzz/relay/%.o $(FUZZ_CORE)
	$(FUZZ_CC) -fsanitize=fuzzer,$(SANITIZE) -o $@ $^ -lsodium -lsqlite3 -lpq

build/fuzz/fuzz_relay_config: build/fuzz/relay/verify.o build/fuzz/relay/log.o
build/fuzz/fuzz_relay_spool_file: build/fuzz/relay/spool_place.o build/fuzz/relay/spool_record.o
build/fuzz/fuzz_relay_spool_record: build/fuzz/relay/spool_file.o build/fuzz/relay/spool_place.o

build/fuzz/fuzz_%: build/fuzz/test/fuzz/fuzz_%.o $(FUZZ_CORE)
	$(FUZZ_CC) -fsanitize=fuzzer,$(SANITIZE) -o $@ $^ -lsodium

# the reader of whole events, with the server's parser of JSON as programs have it, and a little that stands for the rest
# of the server
EVENT_FUZZ = test/fuzz/fuzz_event.c test/fuzz/pg_shim.c
EVENT_OBJS = $(patsubst %.c,build/fuzz/%.o,$(EVENT_FUZZ) src/event.c src/json.c src/provider_telnyx_event.c)
SERVER_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server 2>/dev/null) -D_GNU_SOURCE

$(EVENT_OBJS): FUZZ_CFLAGS += $(SERVER_CPPFLAGS)
build/fuzz/fuzz_event: $(EVENT_OBJS) $(FUZZ_CORE)
	$(FUZZ_CC) -fsanitize=fuzzer,$(SANITIZE) -o $@ $^ -L$(shell $(PG_CONFIG) --pkglibdir 2>/dev/null) \
		-L$(shell $(PG_CONFIG) --libdir 2>/dev/null) -lpgcommon -lpgport -lsodium

# ---- how much of src/core the unit tests and the corpora of the fuzz targets reach ----

COVER_CFLAGS = -std=gnu11 $(WARNINGS) -O0 -g -MMD -MP --coverage -Isrc/core -Irelay -Itools
COVER_CORE = $(CORE:%.c=build/cover/%.o)
COVER_PROGRAMS = $(patsubst test/%.c,build/cover/%,$(filter-out test/unit/test_relay_% test/unit/test_simulator_%,\
	$(sort $(wildcard test/unit/test_*.c))) \
	$(filter-out test/fuzz/fuzz_relay_% $(EVENT_FUZZ),$(sort $(wildcard test/fuzz/fuzz_*.c))))

cover-programs: $(COVER_PROGRAMS)
coverage: cover-programs
	$(TOOL) tools/coverage

build/cover/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(COVER_CFLAGS) -c -o $@ $<

build/cover/unit/%: build/cover/test/unit/%.o $(COVER_CORE)
	@mkdir -p $(@D)
	$(CC) --coverage -o $@ $^ -lsodium -lpthread

build/cover/fuzz/%: build/cover/test/fuzz/%.o build/cover/test/fuzz/replay.o $(COVER_CORE)
	@mkdir -p $(@D)
	$(CC) --coverage -o $@ $^ -lsodium

# ---- oracles: libphonenumber, where the tables of numbers come from as well, and OpenSSL ----

# the version that src/core/phone_tables.c is made from; "make phone-tables" after a change
PHONE_PACKAGE = google-libphonenumber@3.2.47

ORACLE_CFLAGS = -std=gnu11 $(WARNINGS) -O2 -g -MMD -MP -Isrc/core -Itest/oracle
ORACLE_CXXFLAGS = $(WARNINGS) -O2 -g -MMD -MP -Isrc/core -Itest/oracle
ORACLE_TESTS = $(patsubst test/%,build/%,$(basename $(sort $(wildcard test/oracle/test_*.c*))))
PHONE = $(patsubst %.c,build/oracle/%.o,$(filter-out src/core/phone_tables.c,\
	$(sort $(wildcard src/core/phone*.c))) src/core/utf8.c)
SHIPPED_TABLES = build/oracle/src/core/phone_tables.o

oracle-tests: $(ORACLE_TESTS)

build/oracle/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ORACLE_CFLAGS) -c -o $@ $<

build/oracle/%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(ORACLE_CXXFLAGS) -c -o $@ $<

build/oracle/metadata: build/oracle/test/oracle/metadata.o
	$(CXX) -o $@ $^ -lphonenumber -lprotobuf

# with the metadata of the library itself, so that only the algorithms can differ
build/oracle/phone_tables.c: build/oracle/metadata tools/phone-tables
	build/oracle/metadata >build/oracle/metadata.txt
	tools/phone-tables build/oracle/metadata.txt >$@.new
	mv $@.new $@

build/oracle/phone_tables.o: build/oracle/phone_tables.c
	$(CC) $(ORACLE_CFLAGS) -c -o $@ $<

build/oracle/test_phone: build/oracle/test/oracle/test_phone.o build/oracle/test/oracle/inputs.o \
		$(PHONE) build/oracle/phone_tables.o
	$(CXX) -o $@ $^ -lphonenumber

build/oracle/test_signature: build/oracle/test/oracle/test_signature.o build/oracle/src/core/signature.o
	$(CC) -o $@ $^ -lsodium -lcrypto -lpthread

build/oracle/phone_lines: build/oracle/test/oracle/phone_lines.o build/oracle/test/oracle/inputs.o \
		$(PHONE) $(SHIPPED_TABLES)
	$(CC) -o $@ $^

build/oracle/bench_phone: build/oracle/bench/phone.o $(PHONE) $(SHIPPED_TABLES)
	$(CXX) -o $@ $^ -lphonenumber

bench-phone: build/oracle/bench_phone
	build/oracle/bench_phone

# maintainers only: these need npm and its registry
build/npm/$(PHONE_PACKAGE)/package:
	mkdir -p build/npm/$(PHONE_PACKAGE)
	cd build/npm/$(PHONE_PACKAGE) && npm pack --silent $(PHONE_PACKAGE) && tar xzf *.tgz

phone-tables: build/npm/$(PHONE_PACKAGE)/package
	node tools/phone-metadata.js $< >build/npm/metadata.txt
	tools/phone-tables build/npm/metadata.txt >build/npm/phone_tables.c
	node tools/phone-examples.js $< >build/npm/phone_examples.tsv
	mv build/npm/phone_tables.c src/core/
	mv build/npm/phone_examples.tsv test/data/

phone-oracle: build/npm/$(PHONE_PACKAGE)/package build/oracle/phone_lines
	build/oracle/phone_lines test/data 1050000 200000 | \
		node test/oracle/phone-npm.js $< 1000000 100000
# ---- the model of consent, a client that does random sequences of operations to a server ----

MODEL_OBJS = $(patsubst %.c,build/program/%.o,$(sort $(wildcard test/model/*.c)))

build/model: $(MODEL_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -o $@ $^ -lpq -lpthread

$(MODEL_OBJS): PROGRAM_CPPFLAGS = -I$(shell $(PG_CONFIG) --includedir 2>/dev/null)

# ---- the relay's spool under power cuts and failing calls ----

SPOOL_DRIVE_OBJS = $(patsubst %.c,build/fault/%.o,test/fault/spool_drive.c relay/spool.c \
	relay/spool_file.c relay/spool_place.c relay/spool_record.c relay/log.c)

fault-tests: build/spool_drive build/powercut.so build/fail.so build/resolve.so build/clock.so

build/fault/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_CFLAGS) -Irelay -DCHECKPOINT_PAGES=60 -c -o $@ $<

# the shims are found by the program's own weak names, so it exports what it calls
build/spool_drive: $(SPOOL_DRIVE_OBJS)
	$(CC) $(PROGRAM_LDFLAGS) -rdynamic -o $@ $^ -lsodium -lsqlite3 -lpthread

build/%.so: test/fault/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -Wno-format-truncation -O2 -g -fPIC -shared -o $@ $< -ldl -lpthread

# ---- the extension under the undefined behaviour sanitizer, which ends the server's process at once ----

# no -fwrapv, as PGXS has it: what overflows is to be seen
TRAP_CFLAGS = -std=gnu11 $(WARNINGS) -O1 -MMD -MP -fPIC -fvisibility=hidden -fno-strict-aliasing \
	-fsanitize=undefined -fsanitize-undefined-trap-on-error $(PG_CPPFLAGS) $(SERVER_CPPFLAGS)
TRAP_OBJS = $(OBJS:%=build/trap/%)

build/trap/omnimsg.so: $(TRAP_OBJS)
	$(CC) -shared -o $@ $^ $(SHLIB_LINK)

build/trap/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(TRAP_CFLAGS) -c -o $@ $<

# ---- the relay under the thread sanitizer, for make torture ----

TSAN_CFLAGS = -std=gnu11 $(WARNINGS) -O1 -g -MMD -MP -fsanitize=thread -Isrc/core $(RELAY_CPPFLAGS)
TSAN_OBJS = $(patsubst %.c,build/tsan/%.o,$(sort $(wildcard relay/*.c)) $(CORE))

build/tsan/omnimsg-relay: $(TSAN_OBJS)
	$(CC) -fsanitize=thread -o $@ $^ -lcivetweb -lsodium -lpq -lsqlite3 -lpthread

build/tsan/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(TSAN_CFLAGS) -c -o $@ $<

# objects are kept, so that the second build is quick
.SECONDARY:

-include $(shell find build -name '*.d' 2>/dev/null)

# every C file once through clang's eyes; the server's headers use attributes it does not know
CLANG_CHECK = clang -fsyntax-only -std=gnu11 $(WARNINGS) -Isrc/core
clang-check:
	$(CLANG_CHECK) $(SERVER_CPPFLAGS) $(OBJS:.o=.c)
	$(CLANG_CHECK) $(RELAY_CPPFLAGS) $(wildcard relay/*.c)
	$(CLANG_CHECK) $(SIMULATOR_CPPFLAGS) $(wildcard tools/*.c)
	$(CLANG_CHECK) -Irelay -Itools $(filter-out $(EVENT_FUZZ),$(wildcard test/unit/*.c test/fuzz/*.c test/oracle/*.c bench/*.c))
	$(CLANG_CHECK) $(SERVER_CPPFLAGS) $(EVENT_FUZZ)
	$(CLANG_CHECK) $(RELAY_CPPFLAGS) $(wildcard test/model/*.c)
	$(CLANG_CHECK) -Irelay $(wildcard test/fault/*.c)

# what else can be said without running anything
lint: all relay simulator
	$(TOOL) tools/lint

# ---- commands ----

# the tools call make themselves, with this pg_config; they must not inherit -n, -j and the like
TOOL = @env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS PG_CONFIG='$(PG_CONFIG)'

packages:
	$(TOOL) tools/packages build run test

run:
	$(TOOL) tools/packages build run
	$(TOOL) tools/instance install .run
	$(TOOL) tools/instance start .run
	$(TOOL) tools/conversation .run

stop:
	$(TOOL) tools/instance stop .run

test:
	$(TOOL) tools/test

# the long forms of the failure tests; "make torture SCENARIO='S1 S4'" runs some of them
SCENARIO =
torture:
	$(TOOL) tools/torture $(SCENARIO)

# the figures of doc/performance.md; "make bench BENCH='ingest copy'" takes some of them
BENCH =
bench:
	$(TOOL) tools/bench $(BENCH)

bench-programs: build/bench_intent build/bench_load build/bench_sign build/floor_post build/oracle/bench_phone

distclean: remove-instance
remove-instance:
	$(TOOL) tools/instance remove .run/torture
	$(TOOL) tools/instance remove .run/test
	$(TOOL) tools/instance remove .run

help:
	@echo 'make             build the extension'
	@echo 'make relay       build the relay            (build/omnimsg-relay)'
	@echo 'make simulator   build the Telnyx simulator (build/omnimsg-simulator)'
	@echo 'make install     install extension and relay; PG_CONFIG=... says where'
	@echo 'make uninstall   remove them again'
	@echo 'make installcheck  SQL and isolation tests against your running server'
	@echo 'make packages    install the Debian packages that building, running and testing need'
	@echo 'make run         private PostgreSQL, relay and simulator in .run; plays a conversation'
	@echo 'make stop        stop what "make run" started'
	@echo 'make test        all tests; "tools/test --help" runs one of them'
	@echo 'make bench-phone reading a phone number, beside libphonenumber'
	@echo 'make phone-tables, make phone-oracle  for maintainers: see doc/phone.md'
	@echo 'make lint        compilers, clang-tidy, cppcheck, shellcheck and others, without running anything'
	@echo 'make coverage    how much of src/core unit tests and the corpora of the fuzz targets reach'
	@echo 'make score       how well texts are understood, by the texts in test/data'
	@echo 'make bench-intent  how long that takes'
	@echo 'make torture     the long forms of the failure tests; SCENARIO=S1 one of them, "tools/torture --list" names them'
	@echo 'make bench       the figures of doc/performance.md; BENCH=ingest one part, "tools/bench --list" names them'
	@echo 'make clean       remove what was built'
	@echo 'make distclean   remove the instance in .run, too'

.PHONY: all relay simulator install install-relay uninstall uninstall-relay installcheck \
	unit-tests fuzz-targets oracle-tests fault-tests bench-phone phone-tables phone-oracle clang-check \
	score bench-intent intent-words coverage cover-programs lint packages run stop test torture bench bench-programs clean \
	distclean remove-instance help
