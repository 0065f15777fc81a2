# make help lists the targets. `sudo make demo` and `sudo make test` install the Debian packages that they miss, saying which and why.

SHELL   := /bin/sh
PATH    := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin
export PATH
export CGO_ENABLED = 0

PREFIX  ?= /usr
DESTDIR ?=
VERSION := $(shell git describe --tags --match 'v[0-9]*' --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.revision=$(VERSION)
# Pinned, so that a new release of a linter cannot break an old tree.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM    := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
UNITS   := $(PREFIX)/lib/systemd/system
DOC     := $(PREFIX)/share/doc/keepalived-go
MAN     := $(PREFIX)/share/man
TOOLS   := $(CURDIR)/.tools

.PHONY: help build check test demo bench fuzz lint docs install install-compat packages clean soak
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

bench: ## everything of docs/benchmarks.md beside the real keepalived (root; half an hour)
	PATH="$$(test/setup.sh):$$PATH" go run ./test/bench

soak: ## 100 000 reloads and flaps of virtual routers, 5000 of a real daemon, 10 000 flaps of 1000 real servers: memory stays flat (20 minutes; root)
	SOAK=10000 go test -count=1 -timeout 2h -run TestSoak -v ./internal/daemon/engine
	SOAK=5000 go test -count=1 -timeout 2h -run 'TestSoak$$' -v ./test/netns

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

install: build ## binary, units, manual pages, completions, documents and samples below $(DESTDIR)$(PREFIX)
	install -D -m 0755 keepalived-go $(DESTDIR)$(PREFIX)/sbin/keepalived-go
	install -d $(DESTDIR)$(UNITS) $(DESTDIR)$(DOC)/samples $(DESTDIR)$(DOC)/systemd $(DESTDIR)$(DOC)/openrc
	install -m 0644 packaging/systemd/*.service $(DESTDIR)$(UNITS)
	install -m 0644 packaging/systemd/README.md packaging/systemd/*.conf $(DESTDIR)$(DOC)/systemd
	install -m 0755 packaging/openrc/keepalived-go $(DESTDIR)$(DOC)/openrc
	install -m 0644 conf/*.conf conf/samples/*.conf $(DESTDIR)$(DOC)/samples
	install -m 0644 README.md CHANGELOG.md LICENSE docs/*.md docs/config-test.schema.json $(DESTDIR)$(DOC)
	for page in docs/man/*.[58]; do \
		gzip -9n <$$page | install -D -m 0644 /dev/stdin $(DESTDIR)$(MAN)/man$${page##*.}/$${page##*/}.gz || exit; \
	done
	install -D -m 0644 packaging/completion/keepalived-go.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/keepalived-go
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions packaging/completion/_keepalived-go
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d packaging/completion/keepalived-go.fish
	install -d -m 0755 $(DESTDIR)/etc/keepalived

install-compat: ## the names of keepalived for keepalived-go, below $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITS) $(DESTDIR)$(MAN)/man1 $(DESTDIR)$(MAN)/man5 $(DESTDIR)$(MAN)/man8
	ln -sf keepalived-go $(DESTDIR)$(PREFIX)/sbin/keepalived
	ln -sf ../sbin/keepalived-go $(DESTDIR)$(PREFIX)/bin/genhash
	sed -e 's,/usr/sbin/keepalived-go,/usr/sbin/keepalived,; /^\(Conflicts\|After\)=/s/keepalived.service/keepalived-go.service/' \
		-e 's/^\[Install\]/&\nAlias=keepalived.service/' packaging/systemd/keepalived-go.service >$(DESTDIR)$(UNITS)/keepalived-go-compat.service
	gzip -9n <docs/man/genhash.1 >$(DESTDIR)$(MAN)/man1/genhash.1.gz
	ln -sf keepalived-go.8.gz $(DESTDIR)$(MAN)/man8/keepalived.8.gz
	ln -sf keepalived-go.conf.5.gz $(DESTDIR)$(MAN)/man5/keepalived.conf.5.gz

packages: $(TOOLS)/nfpm ## dist/*.deb and dist/*.rpm, the same bytes for the same commit
	packaging/nfpm/build.sh $(TOOLS)/nfpm

$(TOOLS)/nfpm: Makefile
	GOBIN=$(TOOLS) go install $(NFPM)
	@touch $@

clean: ## remove what the other targets made
	rm -rf keepalived-go dist $(TOOLS)
