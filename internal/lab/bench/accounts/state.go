package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// stateServer keeps a state as the CLI's "http" backend wants it kept, in
// memory: GET, POST and DELETE of one address
// (https://developer.hashicorp.com/terraform/language/backend/http).
type stateServer struct {
	address string

	mu   sync.Mutex
	kept []byte
}

// newStateServer serves on loopback until ctx ends.
func newStateServer(ctx context.Context) (*stateServer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &stateServer{address: "http://" + listener.Addr().String() + "/"}
	server := &http.Server{Handler: s} // only the CLI that this benchmark starts asks it
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return s, nil
}

func (s *stateServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		if s.kept == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(s.kept)
	case http.MethodPost:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.kept = body
	case http.MethodDelete:
		s.kept = nil
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// forget drops the state.
func (s *stateServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
}
