// An Envoy ext_authz server that decides with the OPA library: a prepared query over bindings held in memory.
//
// It stands in for opa-envoy-plugin, and is cheaper than it: it keeps no decision log and no metrics.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

type server struct {
	authv3.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
}

func (s *server) Check(ctx context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	http := request.GetAttributes().GetRequest().GetHttp()
	var body map[string]any
	decoder := json.NewDecoder(bytes.NewReader(http.GetRawBody()))
	decoder.UseNumber()
	if decoder.Decode(&body) != nil {
		return denied(), nil
	}
	input := map[string]any{
		"principal": request.GetAttributes().GetSource().GetPrincipal(),
		"method":    http.GetMethod(),
		"path":      http.GetPath(),
		"body":      body,
	}
	results, err := s.query.Eval(ctx, rego.EvalInput(input))
	if err != nil || !results.Allowed() {
		return denied(), nil
	}
	return &authv3.CheckResponse{Status: &status.Status{Code: int32(codes.OK)}}, nil
}

func denied() *authv3.CheckResponse {
	forbidden := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode_Forbidden}}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: forbidden},
	}
}

// load turns a file of {identity: [feature, ...]} into sets, which Rego looks up in constant time.
func load(path string) (map[string]any, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lists map[string][]string
	if err := json.Unmarshal(raw, &lists); err != nil {
		return nil, err
	}
	bindings := map[string]any{}
	for identity, features := range lists {
		set := map[string]any{}
		for _, feature := range features {
			set[feature] = true
		}
		bindings[identity] = set
	}
	return bindings, nil
}

func main() {
	address := flag.String("address", "127.0.0.1:9191", "where to listen")
	policy := flag.String("policy", "policy.rego", "the Rego module")
	data := flag.String("data", "bindings.json", "JSON of identity to list of features")
	flag.Parse()
	module, err := os.ReadFile(*policy)
	if err != nil {
		log.Fatal(err)
	}
	bindings, err := load(*data)
	if err != nil {
		log.Fatal(err)
	}
	store := inmem.NewFromObjectWithOpts(map[string]any{"bindings": bindings},
		inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	query, err := rego.New(rego.Query("data.featward.bench.allow"), rego.Module("policy.rego", string(module)),
		rego.Store(store)).PrepareForEval(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer()
	authv3.RegisterAuthorizationServer(grpcServer, &server{query: query})
	log.Fatal(grpcServer.Serve(listener))
}
