# Plimsoll. `make` alone lists what can be made.
#
# Two Go modules, one workspace (go.work): the root is the library and the two
# programs, lab/ is a whole Kubernetes control plane to try and test them on.
# Needed: Go, make, git, bash. Wanted: a C compiler, for the race detector.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Flags of the program, not of make: make demo ARGS="--against stock"
ARGS ?=
# A copy of the Go vulnerability database, as a URL; without it, the public one.
VULNDB ?=
# Go switches cgo off where there is no C compiler, and the race detector needs it.
RACE = $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && echo -race)
# Tools have modfiles of their own, and -modfile rules a workspace out.
TOOL = GOWORK=off go tool -modfile=tools/$(1).mod $(1)

##@ Try it

.PHONY: demo
demo: ## The whole system on a real control plane; options in ARGS (see: make demo ARGS=--help)
	@hack/build bin/lab ./lab/cmd/lab
	@exec bin/lab demo $(ARGS)

##@ Build

.PHONY: build
build: ## bin/plimsoll-scheduler, bin/plimsoll-autoscaler and bin/lab
	@hack/build bin/plimsoll-scheduler ./cmd/scheduler
	@hack/build bin/plimsoll-autoscaler ./cmd/autoscaler
	@hack/build bin/lab ./lab/cmd/lab

.PHONY: clean
clean: ## Remove what was built here; Go's caches stay
	rm -rf bin dist

##@ Test

.PHONY: test
test: modules ## Unit and convention tests: all that needs no API server (minutes)
	@$(if $(RACE),,echo "No C compiler: testing without the race detector.")
	@packages=$$(hack/packages unit) && echo "go test $(RACE) of $$(wc -w <<<"$$packages") packages" && \
	go test $(RACE) -timeout 10m $$(grep -v /bench/hpa$$ <<<"$$packages")
	@# Upstream's controller and the fakes around it take turns by virtual time, which the race
	@# detector does not see.
	go test -timeout 10m ./bench/hpa
	@# Not cached: the test cache does not see what a subprocess reads.
	go test -count=1 -timeout 10m ./conventions/...

.PHONY: test-integration
test-integration: ## Tests against the embedded control plane, one package after the other (the first build: minutes)
	@# Compiled side by side, then run one after the other: each has a control plane of its
	@# own, and they measure time.
	@packages=$$(hack/packages integration) && echo "go test of $$(wc -w <<<"$$packages") packages" && \
	go list -export -test -deps $$packages >/dev/null && \
	go test -count=1 -p 1 -timeout 20m $$packages

.PHONY: bench
bench: ## Benchmarks, in Go's format; options in ARGS (ARGS=-count=10, then compare with benchstat)
	@packages=$$(hack/packages unit) && go test -run '^$$' -bench . -benchmem $(ARGS) $$packages

.PHONY: bench-throughput
bench-throughput: ## Kubernetes' scheduler_perf, our profile against the default; options in ARGS (ARGS="-repeats 1")
	@go test -c -o bin/throughput.test ./lab/throughput
	@cd lab/throughput && ../../bin/throughput.test -test.run '^$$' -test.bench . -test.benchtime 1x $(ARGS) \
		2>../../bin/throughput.log || { tail -n 40 ../../bin/throughput.log; exit 1; }

.PHONY: bench-packing
bench-packing: ## Packing against the policies of the literature on public traces (hours; hack/fetch-data first); options in ARGS (ARGS="-protocol p1")
	go run ./bench/packing -out bench/results/packing.csv -plots bench/results $(ARGS)

.PHONY: bench-autoscaler
bench-autoscaler: ## Up to 5,000 autoscalers, ours and the HorizontalPodAutoscaler (half an hour); options in ARGS (ARGS="-n 100")
	@hack/build bin/bench-autoscaler ./lab/autoscaling
	@for program in plimsoll hpa; do hack/build bin/bench-autoscaler-$$program ./lab/autoscaling/$$program; done
	@exec bin/bench-autoscaler -out bench/results/autoscaler.csv $(ARGS)

##@ Check

.PHONY: lint
lint: bin/tools/golangci-lint ## golangci-lint over both modules (its own first build: minutes)
	@failed=0; $< run ./... || failed=1; (cd lab && ../$< run ./...) || failed=1; exit $$failed

.PHONY: fmt
fmt: ## Format all Go files
	$(call TOOL,gofumpt) -l -w .

.PHONY: fmt-check
fmt-check: ## Fail where a Go file is not formatted
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }

.PHONY: generate
generate: ## Write the generated files: deep copies and CustomResourceDefinitions
	hack/generate .

.PHONY: generate-check
generate-check: ## Fail where a generated file is not what make generate writes
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; hack/generate "$$fresh"; \
	for file in $$(cd "$$fresh" && find . -type f); do \
		diff -u "$$file" "$$fresh/$$file" || { echo "$$file is stale: make generate"; exit 1; }; \
	done

.PHONY: tidy-check
tidy-check: ## Fail where go.mod or go.sum is not what go mod tidy writes
	go mod tidy -diff
	cd lab && go mod tidy -diff

.PHONY: vuln
vuln: bin/tools/govulncheck ## Known vulnerabilities that our code reaches; offline with VULNDB=file:///...
	@failed=0; $< $(if $(VULNDB),-db $(VULNDB)) ./... || failed=1; (cd lab && ../$< $(if $(VULNDB),-db $(VULNDB)) ./...) || failed=1; exit $$failed

##@ About this file

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## "; print "make [target]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Test needs no network beyond this.
.PHONY: modules
modules:
	@hack/modules

# A tool that runs in both modules must not run under `go tool -modfile`, which
# keeps it outside the workspace.
bin/tools/%: tools/%.mod tools/%.sum
	GOWORK=off go build -modfile=$< -o $@ $$(awk '$$1 == "tool" { print $$2 }' $<)
