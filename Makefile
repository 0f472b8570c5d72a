# xcgn: carrier-grade NAT in XDP with a PCP server. `make help` lists the targets.
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX ?= /usr/local
DESTDIR ?=
B ?= build
VERSION = 0.1
# make V=1 shows the commands.
Q = $(if $(V),,@)
say = @$(if $(V),:,printf '  %-5s %s\n' '$(1)' '$@')

WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) -fstack-protector-strong -D_GNU_SOURCE -DXCGN_VERSION='"$(VERSION)"' -MMD -MP
LIBS = -Wl,--as-needed -lbpf -lxdp -lmnl -lev -lcyaml -lyaml -ljansson -llmdb -lsqlite3 -lsystemd -lelf -lz -lm
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude -Ibpf \
	-I/usr/include/$(shell $(CC) -print-multiarch) -D__$(shell uname -m)__

# Dependencies point one way: cmd -> io -> core -> wire -> include, bpf -> include. Each folder is compiled with -I only for
# the folders it may see, and lint refuses "../" includes, so a wrong include does not build.
INC_wire = -Iinclude -Iuser/wire
INC_core = $(INC_wire) -Iuser/core
INC_io = $(INC_core) -Iuser/io -I$(B)/skeleton
INC_cmd = $(INC_core) -Iuser/io -Iuser/cmd

PROGRAMS = xcgnd xcgnctl pcpc
BPF_HEADERS = $(wildcard bpf/*.h include/cgn/*.h)
objects = $(patsubst user/%.c,$(B)/%.o,$(wildcard user/$(1)/*.c))

.PHONY: all help clean bpf install lint check check-unit check-fuzz check-bpf check-netns test-programs fuzz fuzz-packets bench bench-chart soak demo verifier-report deps format
.SECONDARY:
.DELETE_ON_ERROR:

all: $(addprefix $(B)/,$(PROGRAMS)) bpf ## build xcgnd, xcgnctl, pcpc and the BPF object

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 22

bpf: $(B)/xcgn.bpf.o ## build the BPF object

$(B)/xcgn.bpf.o: bpf/xcgn.bpf.c $(BPF_HEADERS)
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/skeleton/xcgn.skel.h: $(B)/xcgn.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name xcgn_bpf > $@

define folder_rule
$(B)/$(1)/%.o: user/$(1)/%.c Makefile
	@mkdir -p $$(@D)
	$$(call say,CC)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(INC_$(1)) -c $$< -o $$@
endef
$(foreach folder,wire core io cmd,$(eval $(call folder_rule,$(folder))))

# The skeleton is generated code: only dataplane.c includes it.
$(B)/io/dataplane.o: $(B)/skeleton/xcgn.skel.h

$(B)/libxcgn.a: $(call objects,wire) $(call objects,core) $(call objects,io)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

# A program is user/cmd/NAME.c with any user/cmd/NAME_*.c beside it, and what they share in user/cmd/cmd_*.c.
program_objects = $(patsubst user/%.c,$(B)/%.o,$(wildcard user/cmd/$(1).c user/cmd/$(1)_*.c user/cmd/cmd_*.c))
define program_rule
$(B)/$(1): $(call program_objects,$(1)) $(B)/libxcgn.a
	$$(call say,LINK)
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(B)/libxcgn.a $$(LIBS)
endef
$(foreach program,$(PROGRAMS),$(eval $(call program_rule,$(program))))

clean: ## remove what was built
	rm -rf $(B)

install: all ## install programs, man pages, unit and sample configuration (PREFIX, DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/xcgn
	install -m 755 $(B)/xcgnd $(B)/xcgnctl $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(B)/pcpc $(DESTDIR)$(PREFIX)/bin/
	install -m 755 scripts/attach.sh scripts/detach.sh scripts/nics.sh $(DESTDIR)$(PREFIX)/share/xcgn/
	install -m 644 scripts/xcgn.yaml scripts/keep.yaml $(DESTDIR)$(PREFIX)/share/xcgn/
	sed 's,@sbindir@,$(PREFIX)/sbin,' scripts/xcgnd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/xcgnd.service
	for page in user/man/*.[158]; do install -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/; done

deps: ## install what building and testing need (Debian, root)
	scripts/deps.sh

# ---- tests, fast to slow ----
export B FUZZ_SECONDS

check: deps ## install what is missing, then every test
	$(MAKE) -j$$(nproc) all lint test-programs
	tests/run.sh unit fuzz bpf netns

UNIT_TESTS = $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))
# Unit tests run under ASan and UBSan: their own copy of wire, core and io.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
$(B)/san/%.o: user/%.c $(B)/skeleton/xcgn.skel.h
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) $(INC_io) -c $< -o $@
$(B)/libxcgn-san.a: $(patsubst user/%.c,$(B)/san/%.o,$(wildcard user/wire/*.c user/core/*.c user/io/*.c))
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/tests/test_%: tests/unit/test_%.c $(B)/libxcgn-san.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) $(INC_io) -Itests/lib -o $@ $< $(B)/libxcgn-san.a $(LIBS) -lcmocka

check-unit: $(UNIT_TESTS) ## unit tests (no root)
	tests/run.sh unit

FUZZERS = $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 20
FUZZ_CFLAGS = -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE -Iinclude -Ibpf -Iuser/wire -Iuser/core -Itests/lib
$(B)/fuzz/%: tests/fuzz/%.c $(wildcard user/wire/*.[ch] user/core/*.[ch] tests/lib/*.h) $(BPF_HEADERS)
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -o $@ $< $(wildcard user/wire/*.c user/core/*.c)

check-fuzz: $(FUZZERS) ## a short fuzz run over the kept corpus and beyond (FUZZ_SECONDS each)
	tests/run.sh fuzz

fuzz: ## ten minutes of fuzzing for each fuzzer
	$(MAKE) check-fuzz FUZZ_SECONDS=600 TEST_TIMEOUT=700

fuzz-packets: all $(B)/tests/bpf_fuzz ## ten minutes of changed frames through the loaded programs (root)
	PACKET_SECONDS=600 TEST_TIMEOUT=700 ONLY=bpf_fuzz tests/run.sh bpf

BPF_TESTS = $(patsubst tests/bpf/%.c,$(B)/tests/%,$(wildcard tests/bpf/bpf_*.c))
# A test is tests/bpf/bpf_NAME.c with the files there that are no test.
BPF_SHARED = $(filter-out tests/bpf/bpf_%,$(wildcard tests/bpf/*.c)) tests/lib/invariants.c
$(B)/tests/bpf_%: tests/bpf/bpf_%.c $(BPF_SHARED) $(B)/libxcgn.a $(wildcard tests/bpf/*.h tests/lib/*.h)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(INC_io) -Itests/lib -Itests/bpf -o $@ $< $(BPF_SHARED) $(B)/libxcgn.a $(LIBS) -lcmocka -lpthread

# What must hold of pinned tables, as a program for tests in shell.
$(B)/tests/xcgn_invariants: tests/lib/xcgn_invariants.c tests/lib/invariants.c tests/lib/invariants.h $(B)/libxcgn.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(INC_io) -Itests/lib -o $@ $(filter %.c,$^) $(B)/libxcgn.a $(LIBS)

check-bpf: all $(BPF_TESTS) ## programs and allocator in the kernel: fixtures, races (root)
	tests/run.sh bpf

# A bench is tests/bench/NAME_bench.c with the files there that are no bench; its BPF programs come as skeletons.
BENCH = $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*_bench.c))
BENCH_SHARED = $(filter-out %.bpf.c %_bench.c,$(wildcard tests/bench/*.c))
BENCH_SKELETONS = $(patsubst tests/bench/%.bpf.c,$(B)/bench/%.skel.h,$(wildcard tests/bench/*.bpf.c))
$(B)/bench/%.bpf.o: tests/bench/%.bpf.c $(BPF_HEADERS) $(wildcard tests/bench/*.h)
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@
$(B)/bench/%.skel.h: $(B)/bench/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@
$(B)/bench/%_bench: tests/bench/%_bench.c $(BENCH_SHARED) $(wildcard tests/bench/*.h) $(BENCH_SKELETONS) $(B)/libxcgn.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(INC_io) -Itests/lib -Itests/bench -I$(B)/bench -o $@ $< $(BENCH_SHARED) $(B)/libxcgn.a $(LIBS) -lpthread

check-netns: all $(B)/tests/xcgn_invariants ## end to end in network namespaces (root)
	tests/run.sh netns

test-programs: $(UNIT_TESTS) $(FUZZERS) $(BPF_TESTS) $(B)/tests/xcgn_invariants

bench: all $(BENCH) ## measure, with ratios to baselines side by side (root)
	scripts/bench.sh

bench-chart: ## draw what `make bench` measured last as the chart that README.md shows
	/usr/bin/python3 tests/bench/chart.py $(B)/bench/results.json tests/bench/results.svg

MINUTES ?= 10
soak: all $(B)/tests/xcgn_invariants ## chaos for MINUTES=10, repeated with SEED=number: clients, daemon, wire fail; all must agree (root)
	tests/netns/soak.sh $$(($(MINUTES) * 60)) $(SEED)

demo: deps ## the main job in a lab of namespaces, step by step (root)
	$(MAKE) all
	scripts/demo.sh

verifier-report: all ## instructions the kernel's verifier processed, per program (root)
	scripts/verifier-report.sh $(B)/xcgn.bpf.o

lint: ## include direction, shell scripts, unfinished code, tests that documents name
	@! grep -rnE '#include "\.\./' bpf user include tests --include=*.[ch] || { echo 'lint: "../" include'; exit 1; }
	@! grep -rnE '\b(TO''DO|FIX''ME)\b' bpf user include scripts || { echo 'lint: unfinished'; exit 1; }
	@/usr/bin/python3 tests/lib/requirements.py
	@if command -v shellcheck >/dev/null; then shellcheck -x -S warning scripts/*.sh tests/*.sh tests/*/*.sh .ci/run; else echo "lint: no shellcheck, skipped"; fi

-include $(shell find $(B) -name '*.d' 2>/dev/null)
