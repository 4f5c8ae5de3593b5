# FuseStream. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := all

PREFIX  ?= /usr/local
DESTDIR ?=
SWIFT   ?= swift
CC      := cc
BUILD   := build
BIN     := $(BUILD)/bin
TEST_BIN := $(BUILD)/test/bin
FAULT_BIN := $(BUILD)/faults/bin
VENV    := $(BUILD)/venv
# Whole outputs of test runs, of which only a line for each suite and the failures are shown.
LOGS    := $(BUILD)/logs
ARGS    ?=

RUN_PACKAGES  := pkg-config gcc libc6-dev g++ fuse3 libfuse3-dev libuv1-dev libcurl4-openssl-dev libsqlite3-dev libmicrohttpd-dev libgnutls28-dev libxxhash-dev libssl-dev libtomlplusplus-dev libsystemd-dev libgtk-4-dev
TEST_PACKAGES := python3 python3-venv chromium clang-format curl openssl procps util-linux mount systemd \
  xvfb xdotool xclip x11-utils openbox imagemagick dbus-daemon at-spi2-core xdg-desktop-portal
# The rivals of `make bench`; no test needs them.
BENCH_PACKAGES := rclone
# Shells whose completions are tried, and man for the manual pages.
TEST_PACKAGES += zsh fish man-db groff-base


SHIM_SOURCES := $(wildcard shim/src/*/*.c shim/wire/*.c)
SHIM_HEADERS := $(wildcard shim/src/*.h shim/src/*/*.h shim/wire/include/*.h)
C_FLAGS := -std=c17 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -Wall -Wextra -Werror -Wconversion -Ishim/wire/include -Ishim/src
SHIM_FLAGS := $(C_FLAGS) -O2 -g -D_FORTIFY_SOURCE=3 -fstack-protector-strong
SWIFT_FLAGS := -c release --static-swift-stdlib
SWIFT_SOURCES = $(shell find Sources shim/wire -type f) Package.swift

.PHONY: all deps test-deps shim control run test test-swift test-programs test-mount sanitize faults test-live bench-deps bench soak check tidy documents fmt install clean help

## all: build fsmvp, fsmvp-shim and fsmvp-tile into build/bin (release)
all: deps shim control

## deps: install the Debian packages that building and running need
deps: $(BUILD)/.deps-run
test-deps: $(BUILD)/.deps-test
bench-deps: $(BUILD)/.deps-bench

$(BUILD)/.deps-run: PACKAGES := $(RUN_PACKAGES)
$(BUILD)/.deps-test: PACKAGES := $(TEST_PACKAGES)
$(BUILD)/.deps-bench: PACKAGES := $(BENCH_PACKAGES)

$(BUILD)/.deps-%: Makefile
	@mkdir -p $(BUILD)
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Status}\n' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -q --no-install-recommends $$missing; fi
	@command -v $(SWIFT) >/dev/null || { echo "error: no swift on PATH; install a Swift 6.3 toolchain from https://www.swift.org/install/linux/"; exit 1; }
	@touch $@

## shim: build the shim (one cc line: SwiftPM would link it to the Swift runtime)
shim: deps $(BIN)/fsmvp-shim
$(BIN)/fsmvp-shim: $(SHIM_SOURCES) $(SHIM_HEADERS) Makefile
	@mkdir -p $(BIN)
	$(CC) $(SHIM_FLAGS) $$(pkg-config --cflags fuse3) $(SHIM_SOURCES) -o $@ -lfuse3 -luv -lpthread

control: deps $(BUILD)/.control
$(BUILD)/.control: $(SWIFT_SOURCES)
	@mkdir -p $(BIN)
	$(SWIFT) build $(SWIFT_FLAGS) --product fsmvp
	$(SWIFT) build $(SWIFT_FLAGS) --product mediahub-sim
	$(SWIFT) build $(SWIFT_FLAGS) --product fsmvp-tile
	@install -m 755 .build/release/fsmvp .build/release/mediahub-sim .build/release/fsmvp-tile $(BIN)/
	@touch $@

## run: start both processes; without credentials the demo (ARGS="..." goes to fsmvp run)
run: all
	@exec $(BIN)/fsmvp run --demo-without-credentials $(ARGS)

## test: build and run every test, real mounts and a real browser included
test: all test-swift test-mount

# The tests of a module share its loops: all of them at once keep the loops so busy that nothing comes in its time.
test-swift: all test-deps
	python3 Tests/run.py $(LOGS)/swift-tests.log $(SWIFT) test --skip LiveTests --experimental-maximum-parallelization-width 6

## test-programs: both programs with the kill points and the call faults of the tests compiled in
test-programs: deps $(TEST_BIN)/fsmvp-shim $(TEST_BIN)/fsmvp $(FAULT_BIN)/fsmvp-shim $(FAULT_BIN)/fsmvp
$(TEST_BIN)/fsmvp-shim: $(SHIM_SOURCES) $(SHIM_HEADERS) Makefile
	@mkdir -p $(TEST_BIN)
	$(CC) $(SHIM_FLAGS) -DFSMVP_KILL_POINTS $$(pkg-config --cflags fuse3) $(SHIM_SOURCES) -o $@ -lfuse3 -luv -lpthread
$(TEST_BIN)/fsmvp: $(SWIFT_SOURCES)
	@mkdir -p $(TEST_BIN)
	$(SWIFT) build --product fsmvp
	@install -m 755 .build/debug/fsmvp $@

# The shim with calls that a test can make fail (Tests/Mount/harness/faults.h), beside the control plane of test-programs.
$(FAULT_BIN)/fsmvp-shim: $(SHIM_SOURCES) $(SHIM_HEADERS) Tests/Mount/harness/faults.h Tests/Mount/harness/faults.c Makefile
	@mkdir -p $(FAULT_BIN)
	$(CC) $(SHIM_FLAGS) $$(pkg-config --cflags fuse3) -c Tests/Mount/harness/faults.c -o $(FAULT_BIN)/faults.o
	$(CC) $(SHIM_FLAGS) -DFSMVP_KILL_POINTS -include Tests/Mount/harness/faults.h $$(pkg-config --cflags fuse3) $(SHIM_SOURCES) $(FAULT_BIN)/faults.o \
	  -o $@ -lfuse3 -luv -lpthread
$(FAULT_BIN)/fsmvp: $(TEST_BIN)/fsmvp
	@mkdir -p $(FAULT_BIN)
	@install -m 755 $(TEST_BIN)/fsmvp $@

## test-mount: only the tests on real mounts (K=name picks some)
# All of them: the tests of fetching mostly wait for time limits, so they run beside the others.
PYTEST := $(VENV)/bin/python -m pytest -v
test-mount: all test-programs $(VENV)/.ready
ifeq ($(strip $(K)$(ARGS)),)
	@trap : INT TERM; python3 Tests/run.py $(LOGS)/fetching-tests.log $(PYTEST) Tests/Mount/fetching & beside=$$!; \
	python3 Tests/run.py $(LOGS)/mount-tests.log $(PYTEST) Tests/Mount --ignore=Tests/Mount/fetching; status=$$?; \
	wait $$beside && exit $$status
else
	python3 Tests/run.py $(LOGS)/mount-tests.log $(PYTEST) Tests/Mount $(if $(K),-k "$(K)") $(ARGS)
endif

$(VENV)/.ready: $(BUILD)/.deps-test Tests/Mount/requirements.txt Tests/Mount/requirements-bare.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r Tests/Mount/requirements.txt
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps -r Tests/Mount/requirements-bare.txt
	@touch $@

## sanitize: the tests of reading and takeover on shims with ASan and UBSan, then with TSan (SHORT=1 takes a few of them)
sanitize: all test-programs $(VENV)/.ready
	python3 Tests/sanitize.py $(if $(SHORT),--short) $(ARGS)

## faults: every call of the shim that can fail, and files, descriptors and memory of the control plane, fail in turn
faults: all test-programs $(VENV)/.ready
	FSMVP_TEST_ALL_FAULTS=1 python3 Tests/run.py $(LOGS)/faults.log $(VENV)/bin/python -m pytest -v Tests/Mount/limits/test_shim_faults_in_turn.py Tests/Mount/limits/test_control_faults.py $(ARGS)

## test-live: against the real MediaHub (needs MEDIAHUB_CLIENT_ID and MEDIAHUB_CLIENT_SECRET)
test-live: deps
	@if [ -z "$$MEDIAHUB_CLIENT_ID" ] || [ -z "$$MEDIAHUB_CLIENT_SECRET" ]; then \
	  echo "skipped: MEDIAHUB_CLIENT_ID and MEDIAHUB_CLIENT_SECRET are not set"; \
	else $(SWIFT) test --filter LiveTests; fi

## bench: every figure against its rivals, to bench/RESULTS.md (takes half an hour; ARGS="cold seeks --quick" takes some)
bench: all bench-deps $(VENV)/.ready
	$(VENV)/bin/python bench/run.py $(ARGS)

## soak: the long form of the tests of failover, with a report (ARGS="--mode range-lru --shim-kills N --control-kills N --seed N", or "--files 100000")
soak: all $(VENV)/.ready
	$(VENV)/bin/python Tests/Mount/failover/soak.py $(ARGS)

## tidy: whether names, links, commands, promises, log events and dependencies that are mentioned exist (a few seconds, no build)
tidy:
	@report=$$(python3 Tests/test_tidy.py 2>&1) || { echo "$$report"; exit 1; }
	@python3 Tests/tidy.py

## check: tidy, formatting, C warnings, and no variable that more than two files write
check: tidy deps test-deps
	python3 Tests/check_writers.py
	$(SWIFT) format lint --strict --recursive --parallel Sources Tests Package.swift
	clang-format --dry-run -Werror $(SHIM_SOURCES) $(SHIM_HEADERS) Sources/System/CLinux/*.c Sources/System/CLinux/include/*.h Sources/Control/CPage/*.c Sources/Control/CPage/include/*.h
	@for header in $(SHIM_HEADERS); do $(CC) $(C_FLAGS) -fsyntax-only -x c $$header || exit 1; done
	@for source in $(SHIM_SOURCES); do $(CC) $(C_FLAGS) -O2 -fanalyzer $$(pkg-config --cflags fuse3) -c $$source -o /dev/null || exit 1; done
	@echo "check: clean"

## documents: write the tables of docs/CONFIG.md from the settings that the modules declare
documents: deps
	FSMVP_WRITE_DOCUMENTS=1 $(SWIFT) test --filter SettingsTests.DeclarationTests

## fmt: format Swift and C
fmt: deps test-deps
	$(SWIFT) format --in-place --recursive --parallel Sources Tests Package.swift
	clang-format -i $(SHIM_SOURCES) $(SHIM_HEADERS) Sources/System/CLinux/*.c Sources/System/CLinux/include/*.h Sources/Control/CPage/*.c Sources/Control/CPage/include/*.h

## install: copy the programs to $(PREFIX)/bin, systemd's units to $(PREFIX)/lib/systemd, the tile's menu entry and icons to $(PREFIX)/share
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/user $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(BIN)/fsmvp $(BIN)/fsmvp-shim $(BIN)/fsmvp-tile $(DESTDIR)$(PREFIX)/bin/
	for unit in user/fsmvp.service system/fsmvp@.service; do \
	  sed 's,/usr/local/bin/,$(PREFIX)/bin/,' packaging/systemd/$$unit >$(DESTDIR)$(PREFIX)/lib/systemd/$$unit || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/applications
	sed 's,^Exec=fsmvp-tile,Exec=$(PREFIX)/bin/fsmvp-tile,; s,^TryExec=fsmvp-tile,TryExec=$(PREFIX)/bin/fsmvp-tile,' \
	  packaging/desktop/fsmvp-tile.desktop >$(DESTDIR)$(PREFIX)/share/applications/fsmvp-tile.desktop
	install -D -m 644 packaging/desktop/fsmvp-tile.svg $(DESTDIR)$(PREFIX)/share/icons/hicolor/scalable/apps/fsmvp-tile.svg
	install -D -m 644 packaging/desktop/fsmvp-tile-symbolic.svg $(DESTDIR)$(PREFIX)/share/icons/hicolor/symbolic/apps/fsmvp-tile-symbolic.svg

# Texts that the program makes: completions in the folders of bash, zsh and fish, manual pages in man's.
install: install-texts
.PHONY: install-texts
install-texts: all
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d man/man1)
	$(BIN)/fsmvp completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/fsmvp
	$(BIN)/fsmvp completions zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_fsmvp
	$(BIN)/fsmvp completions fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/fsmvp.fish
	ln -sf fsmvp $(DESTDIR)$(PREFIX)/share/bash-completion/completions/fsmvp-tile
	ln -sf fsmvp.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/fsmvp-tile.fish
	for page in fsmvp fsmvp-tile; do $(BIN)/fsmvp man $$page >$(DESTDIR)$(PREFIX)/share/man/man1/$$page.1 || exit 1; done

## clean: remove everything that was built
clean:
	rm -rf $(BUILD) .build

## help: this list
help:
	@sed -nE 's/^## ([a-z-]+): (.*)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  %-11s %s\n", $$1, $$2}'
