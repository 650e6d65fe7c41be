// Federate is go-spiffe on either side of a federation, for one question at a time:
//
//	federate fetch URL TRUST-DOMAIN WEB-ROOTS.pem             what FetchBundle reads, as JSON
//	federate serve web|spiffe TRUST-DOMAIN ROOTS.pem CHAIN.pem KEY.pem SEQUENCE HINT
//	                                                          its handler, until standard input ends; prints the port
//	federate post SOCKET SPIFFE-ID URL                        standard input to a server of that identity, by mTLS with
//	                                                          what the Workload API says; status and answer as JSON
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

const patience = 20 * time.Second

func fetch(url, domain, roots string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pem, err := os.ReadFile(roots)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	name, err := spiffeid.TrustDomainFromString(domain)
	if err != nil {
		return err
	}
	bundle, err := federation.FetchBundle(ctx, name, url, federation.WithWebPKIRoots(pool))
	if err != nil {
		return err
	}
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	digests := []string{}
	for _, root := range bundle.X509Authorities() {
		digest := sha256.Sum256(root.Raw)
		digests = append(digests, hex.EncodeToString(digest[:]))
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"sequence": sequence, "hint": hint.Seconds(), "roots": digests,
	})
}

func serve(profile, domain, roots, chain, key, sequence, hint string) error {
	name, err := spiffeid.TrustDomainFromString(domain)
	if err != nil {
		return err
	}
	authorities, err := x509bundle.Load(name, roots)
	if err != nil {
		return err
	}
	bundle := spiffebundle.FromX509Bundle(authorities)
	number, err := strconv.ParseUint(sequence, 10, 64)
	if err != nil {
		return err
	}
	bundle.SetSequenceNumber(number)
	seconds, err := strconv.Atoi(hint)
	if err != nil {
		return err
	}
	bundle.SetRefreshHint(time.Duration(seconds) * time.Second)
	handler, err := federation.NewHandler(name, bundle)
	if err != nil {
		return err
	}
	config, err := identity(profile, chain, key)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: handler, TLSConfig: config}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.ServeTLS(listener, "", ""); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func identity(profile, chain, key string) (*tls.Config, error) {
	if profile == "spiffe" {
		svid, err := x509svid.Load(chain, key)
		if err != nil {
			return nil, err
		}
		return tlsconfig.TLSServerConfig(svid), nil
	}
	pair, err := tls.LoadX509KeyPair(chain, key)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, err
}

func post(socket, id, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	expected, err := spiffeid.FromString(id)
	if err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(socket)))
	if err != nil {
		return err
	}
	defer source.Close()
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	config := tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(expected))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: patience}
	answer, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"status": answer.StatusCode, "body": string(text)})
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 4 && arguments[0] == "fetch":
		return fetch(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 8 && arguments[0] == "serve":
		return serve(arguments[1], arguments[2], arguments[3], arguments[4], arguments[5], arguments[6], arguments[7])
	case len(arguments) == 4 && arguments[0] == "post":
		return post(arguments[1], arguments[2], arguments[3])
	}
	return fmt.Errorf("see the head of this program for what it takes, not %q", arguments)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
