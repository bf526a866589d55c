# Everything that is done with this repository, by name. `make` alone lists it.
#
# It needs Debian 12 (or a system with the same libraries) and a Swift 6.3 toolchain in PATH; what else is missing is
# installed by Tests/packages and Tests/setup, as root or through sudo.

SWIFT ?= swift
# One file that runs without the toolchain: Swift's own libraries inside, no symbols.
RELEASE := -c release --static-swift-stdlib --experimental-lto-mode=full -Xlinker -s
# The programs of a release: the simulator has builds of its own, and would take as long to link as all of them.
PRODUCTS := remora legacy-demo crossing
# Seconds for each fuzz target of `make fuzz`, for `make simulate`, and for `make reach`.
TIME ?= 60

export SWIFT RELEASE PRODUCTS

.DEFAULT_GOAL := help
.PHONY: help demo build release test lint format fuzz simulate asan tsan reach soak published deb dist debian bench profile clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: packages ## build, and show a request on its way (ONCE=1: and end)
	@$(SWIFT) build $(RELEASE) --product remora
	@.build/release/remora demo $(if $(ONCE),--once)

test: ## the whole gate: lint, traps, builds, unit and end-to-end tests, simulated runs, fuzzing, linkage
	@Tests/gate

build: packages ## debug build of everything, tests included
	$(SWIFT) build --build-tests

release: packages ## .build/release/remora
	@set -e; for product in $(PRODUCTS); do $(SWIFT) build $(RELEASE) --product $$product; done

lint: ## what `swift format` objects to
	$(SWIFT) format lint --strict -r Sources Tests Package.swift

format: ## let `swift format` mend it
	$(SWIFT) format -i -r Sources Tests Package.swift

fuzz: packages ## fuzz every parser for TIME seconds (60)
	@Tests/Fuzz/run $(TIME)

simulate: packages ## play Remora on simulated clocks and networks for TIME seconds (60)
	@Tests/Simulator/run $(TIME)

reach: packages ## lines of Remora that simulated runs of TIME seconds reach (60)
	@Tests/Simulator/reach $(TIME)

asan: packages ## unit and end-to-end tests with the address sanitizer and exclusivity checks (an hour)
	@Tests/sanitize address

tsan: packages ## the same with the thread sanitizer
	@Tests/sanitize thread

soak: release ## hard cases at their full size, with what they measure (about two hours)
	@Tests/setup
	REMORA_SOAK=full REMORA_BIN_DIR=$(CURDIR)/.build/release .build/venvs/client/bin/python -m pytest -q -s \
		-p no:cacheprovider $$(grep -lE 'import .*soak|harness.soak' Tests/EndToEnd/test_*.py)

published: ## ask published servers from PyPI the same directly and through Remora (a quarter of an hour, as root)
	@Tests/setup
	@Tests/Published/compare

deb: release ## .build/package/remora_VERSION_ARCHITECTURE.deb, for the Debian that this is
	@conf/package/deb

dist: deb ## what a release consists of, in .build/package: package, archive, bill of materials, sums
	@conf/package/archive
	@cd .build/package && sha256sum -- *.deb *.tar.gz *.cdx.json >SHA256SUMS && cat SHA256SUMS

debian: deb ## the release binary and the package in a bare Debian 12 (as root, some minutes)
	@Tests/debian
	@Tests/debian-package .build/package/remora_*_$$(dpkg --print-architecture).deb

profile: packages ## count what runs under load, for the optimisation of releases (some minutes)
	@Tests/setup profile
	@Tests/profile

bench: release ## nginx and Remora before the same backend
	@Tests/setup benchmark
	@python3 Tests/Benchmark/run.py

clean: ## remove what was built, Python environments too
	rm -rf .build

.PHONY: packages
packages:
	@Tests/packages
