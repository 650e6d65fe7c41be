// Verify judges certificate chains with Go's crypto/x509, as a server or a client written in Go would without any
// SPIFFE library. For each three arguments, a file of roots, a file with a chain (leaf first) and the Unix second to
// judge at, it writes one JSON object a line: the URIs of the leaf, and why the chain is refused, if it is.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strconv"
	"time"
)

type verdict struct {
	URIs  []string `json:"uris"`
	Error string   `json:"error,omitempty"`
}

func certificates(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return found, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
}

func pool(of []*x509.Certificate) *x509.CertPool {
	made := x509.NewCertPool()
	for _, each := range of {
		made.AddCert(each)
	}
	return made
}

func verify(rootsFile, chainFile, second string) (verdict, error) {
	at, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		return verdict{}, err
	}
	roots, err := certificates(rootsFile)
	if err != nil {
		return verdict{}, err
	}
	chain, err := certificates(chainFile)
	if err != nil || len(chain) == 0 {
		return verdict{}, fmt.Errorf("%s: no chain: %v", chainFile, err)
	}
	told := verdict{}
	for _, uri := range chain[0].URIs {
		told.URIs = append(told.URIs, uri.String())
	}
	// Both uses, one after the other: Go takes a list for alternatives.
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := chain[0].Verify(x509.VerifyOptions{
			Roots: pool(roots), Intermediates: pool(chain[1:]), KeyUsages: []x509.ExtKeyUsage{use},
			CurrentTime: time.Unix(at, 0),
		})
		if err != nil {
			told.Error = err.Error()
		}
	}
	return told, nil
}

func main() {
	out := json.NewEncoder(os.Stdout)
	for at := 1; at+2 < len(os.Args); at += 3 {
		told, err := verify(os.Args[at], os.Args[at+1], os.Args[at+2])
		if err == nil {
			err = out.Encode(told)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
}
