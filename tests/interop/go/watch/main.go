// Watch follows a Workload API socket with go-spiffe and writes one JSON object a line of what it was told: each
// update with its serial and trust domains, each error with its gRPC code. It ends with standard input.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"sync"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/status"
)

type line struct {
	Kind    string   `json:"kind"`
	ID      string   `json:"spiffe_id,omitempty"`
	Serial  string   `json:"serial,omitempty"`
	Chain   int      `json:"chain,omitempty"`
	Signer  string   `json:"authority,omitempty"`
	Bundles []string `json:"bundles,omitempty"`
	Roots   int      `json:"roots,omitempty"`
	Trusted []string `json:"trusted,omitempty"`
	Code    string   `json:"code,omitempty"`
	Error   string   `json:"error,omitempty"`
}

type watcher struct {
	lock sync.Mutex
	out  *json.Encoder
}

func (w *watcher) write(told line) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if err := w.out.Encode(told); err != nil {
		os.Exit(1)
	}
}

func (w *watcher) OnX509ContextUpdate(found *workloadapi.X509Context) {
	svid := found.DefaultSVID()
	told := line{
		Kind: "update", ID: svid.ID.String(), Serial: svid.Certificates[0].SerialNumber.Text(16),
		Chain: len(svid.Certificates),
	}
	if len(svid.Certificates) > 1 {
		told.Signer = name(svid.Certificates[1])
	}
	for _, bundle := range found.Bundles.Bundles() {
		told.Bundles = append(told.Bundles, bundle.TrustDomain().Name())
		told.Roots += len(bundle.X509Authorities())
		for _, root := range bundle.X509Authorities() {
			told.Trusted = append(told.Trusted, name(root))
		}
	}
	w.write(told)
}

// name is what the CA calls the authority of this certificate.
func name(certificate *x509.Certificate) string {
	digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(digest[:8])
}

func (w *watcher) OnX509ContextWatchError(err error) {
	w.write(line{Kind: "error", Code: status.Code(err).String(), Error: err.Error()})
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	told := &watcher{out: json.NewEncoder(os.Stdout)}
	err := workloadapi.WatchX509Context(ctx, told, workloadapi.WithAddr(os.Args[1]))
	if ctx.Err() == nil {
		told.write(line{Kind: "ended", Code: status.Code(err).String(), Error: err.Error()})
	}
}
