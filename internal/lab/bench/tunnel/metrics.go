package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

// metric is one figure of a way.
type metric struct {
	name, title  string
	metric, unit string
	format       string
	measure      func(ctx context.Context, client *lab.Client, w way, lasting time.Duration) (float64, error)
}

// Names of the metrics that the modes are compared by.
const (
	throughOne  = "one connection"
	throughMany = "50 connections"
)

var metrics = []metric{
	{throughOne, "one connection", "throughput", "Gbit/s", "%.2f Gbit/s", throughput(1)},
	{throughMany, "50 connections", "throughput", "Gbit/s", "%.2f Gbit/s", throughput(50)},
	{"50 clients", "requests of 50 clients", "requests per second", "1/s", "%.0f/s", requests},
	{"one client", "latency", "median of an answer over an open connection", "ms", "%.2f ms", latency},
	{"new connection", "with a new connection", "median of connection and answer", "ms", "%.2f ms", connecting},
}

// asker asks for a file over connections of its own.
func asker(client *lab.Client, w way, keep bool) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: !keep, MaxConnsPerHost: 0, MaxIdleConnsPerHost: 1, ReadBufferSize: 256 << 10,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return client.Dial(ctx, network, net.JoinHostPort(w.host.Address, strconv.Itoa(w.port)))
		},
	}
}

func ask(ctx context.Context, t *http.Transport, name string, to io.Writer) (int64, error) {
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://bench.example.test/"+name, nil)
	if err != nil {
		return 0, err
	}
	answer, err := t.RoundTrip(asked)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, errors.New(answer.Status)
	}
	return io.Copy(to, answer.Body)
}

// counter counts what is written to it.
type counter struct{ bytes atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p)))
	return len(p), nil
}

// warmUp is how long traffic flows before it is counted. Over 50 connections an
// sshd needs that long until it has as much to send as their windows allow, 2 MB
// each; a hand-run tunnel then carries a fraction of what it did at first.
const warmUp = time.Second

// throughput measures downloads over several connections at once.
func throughput(connections int) func(context.Context, *lab.Client, way, time.Duration) (float64, error) {
	return func(whole context.Context, client *lab.Client, w way, lasting time.Duration) (float64, error) {
		ctx, cancel := context.WithCancel(whole)
		defer cancel()
		var received counter
		failed := make(chan error, connections)
		var all sync.WaitGroup
		for range connections {
			all.Go(func() {
				t := asker(client, w, false)
				defer t.CloseIdleConnections()
				if _, err := ask(ctx, t, "large", &received); err != nil && ctx.Err() == nil {
					failed <- err
				}
			})
		}
		var before, after int64
		var began, ended time.Time
		for i, pause := range []time.Duration{warmUp, lasting} {
			select {
			case err := <-failed:
				return 0, err
			case <-time.After(pause):
			}
			if i == 0 {
				before, began = received.bytes.Load(), time.Now()
			} else {
				after, ended = received.bytes.Load(), time.Now()
			}
		}
		cancel()
		all.Wait()
		if after == before {
			return 0, fmt.Errorf("nothing came in %s", lasting)
		}
		// What was sent already, 100 MB perhaps, goes through the tunnel although
		// nobody takes it, and would take the processors from the next one. An
		// answer comes behind it.
		t := asker(client, w, false)
		defer t.CloseIdleConnections()
		if _, err := ask(whole, t, "small", io.Discard); err != nil {
			return 0, err
		}
		return float64(after-before) * 8 / ended.Sub(began).Seconds() / 1e9, nil
	}
}

// requests measures how many small files 50 clients get in a second, each one
// after the other over its own connection.
func requests(ctx context.Context, client *lab.Client, w way, lasting time.Duration) (float64, error) {
	var answered atomic.Int64
	var all sync.WaitGroup
	failed := make([]error, 50)
	began := time.Now()
	for i := range failed {
		all.Go(func() {
			t := asker(client, w, true)
			defer t.CloseIdleConnections()
			for time.Since(began) < lasting {
				if _, failed[i] = ask(ctx, t, "small", io.Discard); failed[i] != nil {
					return
				}
				answered.Add(1)
			}
		})
	}
	all.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds(), errors.Join(failed...)
}

func latency(ctx context.Context, client *lab.Client, w way, lasting time.Duration) (float64, error) {
	return oneByOne(ctx, asker(client, w, true), lasting)
}

func connecting(ctx context.Context, client *lab.Client, w way, lasting time.Duration) (float64, error) {
	return oneByOne(ctx, asker(client, w, false), lasting)
}

// oneByOne is the median of the milliseconds that an answer takes.
func oneByOne(ctx context.Context, t *http.Transport, lasting time.Duration) (float64, error) {
	defer t.CloseIdleConnections()
	var took []float64
	for began := time.Now(); time.Since(began) < lasting; {
		asked := time.Now()
		if _, err := ask(ctx, t, "small", io.Discard); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(asked).Microseconds())/1000)
	}
	return bench.MedianOf(took), nil
}
