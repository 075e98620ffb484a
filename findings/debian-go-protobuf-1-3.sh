#!/usr/bin/env bash
# Debian 12: a Go client of its gRPC packages builds, and panics at the first answer.
#
# Guess: what apt chooses for `apt install golang-google-grpc-dev protoc-gen-go-1-5 protoc-gen-go-grpc` fits together.
# Seen with Debian 12 (2026-11): golang-google-grpc-dev (1.33.3-2) takes golang-github-golang-protobuf-1-3-dev or
# …-1-5-dev, and apt chooses the first. gRPC then encodes and decodes with protobuf 1.3's reflection over struct tags.
# The code of protoc-gen-go-1-5 has fields without tags: encoding passes over them, decoding does not.
#
#   apt's choice: golang-github-golang-protobuf-1-3-dev
#   1-3: 8 bytes encoded
#   panic: protobuf tag not enough fields in Money.state:
#   1-5: 8 bytes encoded
#   1-5: decoded 4200
#
# Here: docs/clients.md and .ci/run name golang-github-golang-protobuf-1-5-dev.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
choice=$(apt-cache depends golang-google-grpc-dev | grep -m 1 -o 'golang-github-golang-protobuf-.*')
mkdir debs common 1-3 1-5
(cd debs && apt-get download -qq golang-1.19-go golang-1.19-src golang-google-protobuf-dev protoc-gen-go-1-5 \
  protobuf-compiler libprotobuf32 libprotoc32 golang-github-golang-protobuf-1-3-dev \
  golang-github-golang-protobuf-1-5-dev 2> /dev/null)
for package in debs/*.deb; do
  case $package in
    *protobuf-1-3-dev*) dpkg -x "$package" 1-3 ;;
    *protobuf-1-5-dev*) dpkg -x "$package" 1-5 ;;
    *) dpkg -x "$package" common ;;
  esac
done
export LD_LIBRARY_PATH=$folder/common/usr/lib/x86_64-linux-gnu PATH=$folder/common/usr/bin:$PATH
export GO111MODULE=off GOCACHE=$folder/cache GOFLAGS= GOROOT=$folder/go
# Links of Debian's GOROOT lead to /usr/share.
cp -rL --no-preserve=mode common/usr/lib/go-1.19 go 2> /dev/null || true
cp -r common/usr/share/go-1.19/. go/
chmod -R u+x go/bin go/pkg/tool
mkdir -p mine/src/try/pb
cat > money.proto <<'PROTO'
syntax = "proto3";
package money;
option go_package = "try/pb";
message Money {
  string currency_code = 1;
  int64 minor_units = 2;
}
PROTO
protoc --go_out=mine/src money.proto
cat > mine/src/try/main.go <<'GO'
package main

import (
	"fmt"
	"os"

	// What the codec of grpc 1.33 calls.
	"github.com/golang/protobuf/proto"

	"try/pb"
)

func main() {
	encoded, _ := proto.Marshal(&pb.Money{CurrencyCode: "USD", MinorUnits: 4200})
	fmt.Printf("%s: %d bytes encoded\n", os.Args[1], len(encoded))
	decoded := &pb.Money{}
	if err := proto.Unmarshal(encoded, decoded); err != nil {
		panic(err)
	}
	fmt.Printf("%s: decoded %d\n", os.Args[1], decoded.MinorUnits)
}
GO
{
  echo "apt's choice: $choice"
  for version in 1-3 1-5; do
    GOPATH=$folder/mine:$folder/$version/usr/share/gocode:$folder/common/usr/share/gocode \
      go/bin/go run mine/src/try/main.go "$version" 2>&1 | grep -E '^(1-|panic)' | sed 's, *$,,' || true
  done
} | tee seen
diff - seen <<'SEEN'
apt's choice: golang-github-golang-protobuf-1-3-dev
1-3: 8 bytes encoded
panic: protobuf tag not enough fields in Money.state:
1-5: 8 bytes encoded
1-5: decoded 4200
SEEN
