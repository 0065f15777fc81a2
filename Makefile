# make help lists the targets. `sudo make demo` and `sudo make test` install the Debian packages that they miss, saying which and why.

SHELL   := /bin/sh
PATH    := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin
export PATH
export CGO_ENABLED = 0

PREFIX  ?= /usr
DESTDIR ?=
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.revision=$(VERSION)
# Pinned, so that a new release of a linter cannot break an old tree.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
TOOLS   := $(CURDIR)/.tools

.PHONY: help build check test demo bench fuzz lint docs install clean
help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 12

build: ## the static binary ./keepalived-go
	go build -trimpath -ldflags '$(LDFLAGS)' -o keepalived-go ./cmd/keepalived-go

check: lint ## the quick loop: lint, unit tests, simulation, goldens (no root, under two minutes)
	go test -short ./cmd/... ./internal/... ./test/config/... ./test/compat ./test/docs

test: ## everything: check, fuzz, network namespaces, the real keepalived as peer, real IPVS in a VM (root; under 30 minutes)
	test/all.sh

demo: ## a failover to look at: two routers and a client in network namespaces (root, under 40 seconds)
	test/demo.sh

bench: ## takeover and configuration beside the real keepalived, in one run (root)
	PATH="$$(test/setup.sh):$$PATH" go run ./test/bench

fuzz: ## ten seconds for each fuzz target (FUZZTIME=10m for longer)
	test/fuzz.sh

docs: ## write what is generated: docs/keywords.md, docs/lint.md, docs/man, packaging/completion
	go test ./internal/config -run KeywordsDocument -update
	go test ./internal/config/lint -run Document -update
	go test ./cmd/keepalived-go -run 'Manual$$' -update

lint: $(TOOLS)/staticcheck ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l cmd internal test); [ -z "$$out" ] || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	go vet ./...
	$(TOOLS)/staticcheck ./...

$(TOOLS)/staticcheck: Makefile
	GOBIN=$(TOOLS) go install $(STATICCHECK)
	@touch $@

install: build ## binary, unit, manual pages, completions and samples below $(DESTDIR)$(PREFIX)
	install -D -m 0755 keepalived-go $(DESTDIR)$(PREFIX)/sbin/keepalived-go
	install -D -m 0644 packaging/systemd/keepalived-go.service $(DESTDIR)$(PREFIX)/lib/systemd/system/keepalived-go.service
	install -d $(DESTDIR)$(PREFIX)/share/doc/keepalived-go/samples
	install -m 0644 conf/*.conf conf/samples/*.conf $(DESTDIR)$(PREFIX)/share/doc/keepalived-go/samples/
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man5 docs/man/keepalived-go.conf.5
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/keepalived-go.8
	install -D -m 0644 packaging/completion/keepalived-go.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/keepalived-go
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions packaging/completion/_keepalived-go
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d packaging/completion/keepalived-go.fish
	install -m 0644 docs/*.md docs/config-test.schema.json $(DESTDIR)$(PREFIX)/share/doc/keepalived-go/
	install -d -m 0755 $(DESTDIR)/etc/keepalived

clean: ## remove what the other targets made
	rm -rf keepalived-go $(TOOLS)
