# What people do with Parallax. Needs Rust, a C linker, make and bash, nothing else.

SHELL := bash
CARGO ?= cargo
TIME ?= 60s
OUT ?= parallax-out
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PARALLAX := $(TARGET_DIR)/release/parallax

.DEFAULT_GOAL := help
.PHONY: help run build test bench targets browser clean

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

run: targets build ## Fuzz the best layer found for TIME (60s) and show the cases it found
	@# Exit code 1 means that cases were found: that is what we are here for. A campaign that is there goes on.
	@resume=; if [[ -e $(OUT)/corpus ]]; then resume=--resume; fi; \
	$(PARALLAX) fuzz $$resume --time $(TIME) --out $(OUT) || [[ $$? -eq 1 ]]
	@shopt -s nullglob; cases=($(OUT)/cases/*.plx); \
	if [[ $${#cases[@]} -eq 0 ]]; then echo "No case was found in $(TIME)."; \
	else $(PARALLAX) show "$${cases[@]}"; echo; \
	echo "The same as pages in a browser: $(PARALLAX) triage serve $(OUT)"; fi

build: ## Build target/release/parallax
	$(CARGO) build --release

test: targets browser ## Formatting, lints, every test on every layer found, and the documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) test --workspace --release
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

bench: targets build ## Measure programs per second, per layer
	$(PARALLAX) bench

targets: ## Install the layers, where that is possible (docs/targets.md)
	@script/install-targets

browser: ## Install Chromium for the tests of the pages, where that is possible
	@script/install-browser

clean: ## Remove what was built; results stay
	$(CARGO) clean
