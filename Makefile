# The commands people type. Everything real is in CMakePresets.json and scripts/; this file only names it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# One cache serves every checkout of the project.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

BUILD := build/release

.PHONY: help
help: ## Say what can be typed
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Build, serve the shipped models, translate, summarise, draw the attention, stop
	@scripts/demo

.PHONY: build
build: $(BUILD)/build.ninja ## Install what is missing and build everything (build/release)
	@cmake --build $(BUILD)

.PHONY: test
test: ## Install what is missing, build, run every test
	@scripts/install-deps test
	@$(MAKE) --no-print-directory build
	@scripts/run-tests release

# The build file makes itself again when a CMakeLists.txt changes, so configuring is for the first time only.
$(BUILD)/build.ninja:
	@scripts/install-deps build
	@cmake --preset release

.PHONY: lint
lint: ## Check formatting, protos, clang's warnings, thread annotations and clang-tidy
	@scripts/lint

.PHONY: format
format: ## Format the C++ and the protos in place
	@scripts/install-deps lint
	@scripts/format

.PHONY: bench
bench: build ## Measure engine and server: make bench TEXTS=FILE [TORCH=PYTHON]; bench/README.md has the figures
	@bench/run.py --build $(BUILD) --texts $(TEXTS) $(if $(TORCH),--torch $(TORCH))

.PHONY: bench-serving
bench-serving: build ## Compare batching policies under load: make bench-serving TEXTS=FILE; about 20 minutes
	@bench/serving.py --build $(BUILD) --texts $(TEXTS)

.PHONY: bench-peers
bench-peers: ## Measure heed beside its peers, at most 19 minutes a call: make bench-peers [ONLY=REGEX] [TEXTS="MODEL=FILE ..."]
	@scripts/install-deps bench build
	@cmake --preset release
	@cmake --build $(BUILD) --target engine_bench kernel_bench heed-server heed
	@bench/peers.py --build $(BUILD) $(if $(ONLY),--only '$(ONLY)') $(foreach text,$(TEXTS),--texts $(text))

.PHONY: soak
soak: build ## Mixed load with cancelled and killed clients: make soak TEXTS=FILE [MINUTES=10]
	@bench/soak.py --build $(BUILD) --texts $(TEXTS) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: image
image: ## Build the container image heed:latest, with docker or buildah
	@scripts/image

.PHONY: train
train: ## Train a model and export its bundle: make train RECIPE=NAME DATA=FOLDER; without them, list the recipes
	@scripts/train $(RECIPE) $(DATA)

.PHONY: clean
clean: ## Remove what was built; out/ stays, where imported and trained models, images and figures are
	@rm -rf build
