#!/bin/sh
# Build kube-apiserver and kube-controller-manager from Debian's sources, for the tests marked heavy.
#
#   sh tests/helpers/build_kubernetes.sh DIRECTORY     (about 10 minutes, 3 GB)
#   WAYSTAGE_KUBERNETES=DIRECTORY/bin pytest tests/plugins/runtimes/kubernetes
#
# It needs Debian 12, the right to install packages, and nothing else. Two things are mended:
# Debian left a generated file out, and one library is too old for Debian's own Go.
set -eu
place=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$place"
install="apt-get install -qq -y --no-install-recommends"
$install golang-go etcd-server openssl golang-github-modern-go-reflect2-dev >/dev/null
if [ ! -d src ]; then
  . /etc/os-release
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "http://deb.debian.org/debian $VERSION_CODENAME main" >sources.list
  mkdir -p lists/partial src
  for verb in update "source --download-only kubernetes"; do
    apt-get -qq -o Dir::Etc::SourceList="$place/sources.list" -o Dir::Etc::SourceParts=/dev/null \
      -o Dir::State::Lists="$place/lists" -o APT::Sandbox::User=root $verb
  done
  tar xzf kubernetes_*.orig.tar.gz -C src --strip-components=1
fi
mkdir -p bin go/src/k8s.io
ln -sfn "$place/src" go/src/k8s.io/kubernetes
cd go/src/k8s.io/kubernetes
export GO111MODULE=off GOFLAGS= CGO_ENABLED=0 GOPATH="$place/go" GOCACHE="$place/cache"
k8s=k8s.io/kubernetes vendored=k8s.io/kubernetes/vendor/k8s.io
rm -rf vendor/github.com/modern-go/reflect2
cp -rL /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2

tagged() { # the packages below a directory whose types are described, by their import paths
  grep -rl --include='*.go' -e '+k8s:openapi-gen=' "$1" | grep -v -e _test.go -e /testdata/ \
    -e /_examples/ -e /test/ -e sample-apiserver -e code-generator | xargs -r -n1 dirname | sort -u
}
if [ ! -f pkg/generated/openapi/zz_generated.openapi.go ]; then
  go build -o "$place/bin/openapi-gen" $vendored/kube-openapi/cmd/openapi-gen
  rm -f pkg/generated/openapi/openapi_test.go
  inputs=$( { tagged staging/src/k8s.io | sed "s#^staging/src/k8s.io#$vendored#"
              tagged pkg | sed "s#^#$k8s/#"; } | paste -sd,)
  "$place/bin/openapi-gen" -O zz_generated.openapi -i "$inputs" -p $k8s/pkg/generated/openapi \
    --go-header-file hack/boilerplate/boilerplate.generatego.txt --output-base "$place/go/src" \
    -r "$place/violations.txt"
fi
version="-X $vendored/component-base/version.gitVersion=v$(ls "$place"/kubernetes_*.orig.tar.gz |
  sed 's/.*really\([0-9.]*\)\.orig.*/\1/')"
for program in kube-apiserver kube-controller-manager; do
  go build -ldflags "-s -w $version" -o "$place/bin/$program" $k8s/cmd/$program
done
ls "$place/bin"
