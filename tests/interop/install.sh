#!/usr/bin/env bash
# Puts what the real interop tests need (Java jars, the npm package, the Go programs) into .cache/interop, which git
# ignores. Runs twice for free: a folder is filled beside its place, then moved there. Pinned versions stand in
# java/*/pom.xml, node/package.json and go/go.mod. Say `INTEROP_CACHE=/elsewhere` to keep it outside the checkout.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="${INTEROP_CACHE:-$here/../../.cache/interop}"

need() { # command, Debian package
  command -v "$1" >/dev/null && return
  echo "interop: $1 is missing (Debian package $2); as root, .ci/run installs it" >&2
  exit 1
}

fingerprint() { cat "$@" | sha256sum | cut -c1-16; }

jars() { # folder below java/ that holds a pom.xml
  local place stage
  place="$cache/$1-$(fingerprint "$here/java/$1/pom.xml")"
  if [[ ! -d $place ]]; then
    echo "interop: resolving the jars of java/$1"
    stage="$(mktemp -d "$cache/stage.XXXXXX")"
    mvn --quiet --batch-mode --file "$here/java/$1/pom.xml" dependency:copy-dependencies \
      -DincludeScope=runtime "-DoutputDirectory=$stage/jars"
    [[ -n $(ls "$stage/jars") ]]
    mv -T "$stage/jars" "$place" 2>/dev/null || true # another run may have been faster
    rm -rf "$stage"
  fi
  ln -sfnT "$place" "$cache/$1"
}

packages() { # folder that holds a package.json
  local place stage
  place="$cache/$1-$(fingerprint "$here/$1/package.json")"
  if [[ ! -d $place ]]; then
    echo "interop: installing the packages of $1"
    stage="$(mktemp -d "$cache/stage.XXXXXX")"
    cp "$here/$1/package.json" "$stage/"
    chmod 755 "$stage"
    (cd "$stage" && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
    mv -T "$stage" "$place" 2>/dev/null || rm -rf "$stage"
  fi
  ln -sfnT "$place" "$cache/$1"
}

toolchain() { # a Go that is new enough for go.mod; below 1.21 Go cannot fetch a newer one by itself
  local wanted module
  if (cd "$here/go" && go list -m) >/dev/null 2>&1; then command -v go; return; fi
  wanted="$(sed -n 's/^go //p' "$here/go/go.mod")"
  module="golang.org/toolchain@v0.0.1-go$wanted.$(go env GOOS)-$(go env GOARCH)"
  module="$(cd / && GOFLAGS=-modcacherw go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')"
  chmod +x "$module"/bin/* "$module"/pkg/tool/*/*
  echo "$module/bin/go"
}

programs() { # folder of a Go module, one program a folder
  local place stage go
  place="$cache/$1-$(fingerprint "$here/$1"/go.* "$here/$1"/*/*.go)"
  if [[ ! -d $place ]]; then
    echo "interop: building the programs of $1"
    stage="$(mktemp -d "$cache/stage.XXXXXX")"
    go="$(toolchain)"
    (cd "$here/$1" && "$go" build -o "$stage/" ./...)
    mv -T "$stage" "$place" 2>/dev/null || rm -rf "$stage"
  fi
  ln -sfnT "$place" "$cache/$1"
}

need java openjdk-17-jdk-headless
need mvn maven
need node nodejs
need npm npm
need go golang-go
mkdir -p "$cache"
cache="$(cd "$cache" && pwd)"
for pom in "$here"/java/*/pom.xml; do
  jars "$(basename "$(dirname "$pom")")"
done
packages node
programs go
echo "interop: ready in $cache"
