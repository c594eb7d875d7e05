# Everything is done by these: `make help`.

SWIFT := $(shell command -v swift 2>/dev/null || echo /opt/swift/usr/bin/swift)
PYTHON := /usr/bin/python3
PREFIX ?= /usr/local
DESTDIR ?=
BUILD := .build
# Lint names: a target that imports a module which it does not declare is an error.
SWIFT_FLAGS := --explicit-target-dependency-import-check error
RELEASE_FLAGS := -c release --static-swift-stdlib $(SWIFT_FLAGS)

export SWIFT_BACKTRACE := enable=no
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help build demo test bench faults fuzz sanitize lint checkers unit-debug unit-release \
	unit-debug-build unit-release-build lab system-test deb install deps clean

help:
	@echo 'make build    the release binary, $(BUILD)/release/egressd'
	@echo 'make demo     the main case with real OpenSSH in private namespaces (root; DEMO_KEEP=1 leaves it standing)'
	@echo 'make test     lint, unit tests in debug and release, the lab (root); EGRESSD_SEED=n repeats it, =random draws'
	@echo 'make lab      the lab alone; LAB="-k revoke -x" goes to pytest'
	@echo 'make system-test  the package in a Debian container that boots with systemd (root); SYSTEM="-k test_package" goes to pytest'
	@echo 'make deb      the Debian package, in $(BUILD)/packages'
	@echo 'make bench    throughput, latency, memory as ratios in one run (root); BENCH="--json FILE --quick"'
	@echo 'make faults   every call into the C library and SQLite fails, in everything the daemon does, or kills it (root, hours); FAULTS="-k approve"'
	@echo 'make fuzz     every reader of foreign bytes under libFuzzer, a million executions and 60 seconds each; FUZZ="dns tls"'
	@echo 'make sanitize unit tests and a part of the lab under the address and thread sanitisers (root); SANITIZE=thread'
	@echo 'make lint     the formatter in strict mode'
	@echo 'make install  PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make deps     installs what is missing (apt, root)'
	@echo 'make clean    removes $(BUILD)'

build:
	$(SWIFT) build $(RELEASE_FLAGS) --product egressd

demo: deps build
	@$(PYTHON) Tests/Lab/demo.py

test:
	@Tests/Tools/test-all

# What the lab holds our readers of foreign bytes against others by.
checkers:
	$(SWIFT) build $(RELEASE_FLAGS) --product dnscheck
	$(SWIFT) build $(RELEASE_FLAGS) --product wirecheck

lint:
	@$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests

unit-debug:
	$(SWIFT) test $(TEST_FLAGS) $(SWIFT_FLAGS)

unit-debug-build:
	$(SWIFT) build --build-tests $(SWIFT_FLAGS)

# -enable-testing is for @testable imports; the scratch path is apart, so that the daemon's own build stays as it is.
UNIT_RELEASE := -c release -Xswiftc -enable-testing --scratch-path $(BUILD)/release-tests $(SWIFT_FLAGS)

unit-release:
	$(SWIFT) test $(TEST_FLAGS) $(UNIT_RELEASE)

unit-release-build:
	$(SWIFT) build --build-tests $(UNIT_RELEASE)

lab: deps build
	@$(PYTHON) -m pytest -p no:cacheprovider -q Tests/Lab $(LAB)

system-test: deps build
	@$(PYTHON) -m pytest -p no:cacheprovider -q -rP Tests/System $(SYSTEM)

deb: deps build
	@systemd/debian/build $(BUILD)/release/egressd $(BUILD)/packages

bench: deps build
	@$(PYTHON) Tests/Bench/bench.py $(BENCH)

faults: deps build
	@$(PYTHON) -m pytest -p no:cacheprovider -q Tests/Lab/faults/every_call.py $(FAULTS)

fuzz:
	@PATH="$(dir $(SWIFT)):$$PATH" Tests/Fuzz/run.sh $(FUZZ)

sanitize: deps
	@Tests/Tools/sanitize $(SANITIZE)

install: build
	install -D -m 0755 $(BUILD)/release/egressd $(DESTDIR)$(PREFIX)/sbin/egressd
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in systemd/*.service systemd/*.socket; do \
		[ -e "$$unit" ] || continue; \
		sed 's,/usr/sbin/egressd,$(PREFIX)/sbin/egressd,g' "$$unit" \
			> $(DESTDIR)$(PREFIX)/lib/systemd/system/$$(basename "$$unit"); \
	done
	install -D -m 0644 systemd/egressd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/egressd.conf
	install -D -m 0644 systemd/egressd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/egressd.conf
	systemd/man/generate $(BUILD)/release/egressd systemd/egressd.yaml $(BUILD)/man
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man5 $(BUILD)/man/*.5
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(BUILD)/man/*.8
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/bash-completion/completions systemd/completion/bash/egressd
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions systemd/completion/zsh/_egressd
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/egressd README.md systemd/egressd.yaml
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/egressd/examples/policies policies/*.yaml
	cp -R systemd/examples/. $(DESTDIR)$(PREFIX)/share/doc/egressd/examples/
	@echo "Nothing in /etc was touched: the examples are in $(PREFIX)/share/doc/egressd."

deps:
	@Tests/Tools/install-dependencies

clean:
	rm -rf $(BUILD)
