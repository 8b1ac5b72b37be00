package prometheus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

const maxRedirects = 3

// client asks one server.
type client struct {
	config    Server
	api       promv1.API
	transport *transport
}

// reply is what a server answers, or why it does not.
type reply struct {
	value    model.Value
	warnings []string
	err      error
	// down says that err is the server's state, not the query's fault.
	down bool
	// slow says that err is that there was no answer in time.
	slow bool
	// undecided says that err tells nothing about the server: the asker gave up,
	// or could not ask.
	undecided bool
}

// newClient opens no connection yet.
func newClient(config Server) (*client, error) {
	t := &transport{config: config}
	c, err := api.NewClient(api.Config{
		Address: config.URL,
		Client:  &http.Client{Transport: t, CheckRedirect: sameHostOnly},
	})
	if err != nil {
		return nil, err
	}
	return &client{config: config, api: promv1.NewAPI(c), transport: t}, nil
}

// sameHostOnly refuses redirects that would hand the query, and the token, to
// somebody else or to anybody on the way.
func sameHostOnly(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case next.URL.Host != first.Host:
		return fmt.Errorf("redirected to another host, %s", next.URL.Host)
	case next.URL.Scheme != first.Scheme:
		return fmt.Errorf("redirected from %s to %s", first.Scheme, next.URL.Scheme)
	case len(via) > maxRedirects:
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	return nil
}

// exchange is what the transport is told about a query and tells about its
// answer.
type exchange struct {
	maxBytes int64
	mu       sync.Mutex
	status   int // the last one
}

type exchangeKey struct{}

// ask evaluates a query at the time now. The answer may be as long as those to
// as many queries as it stands for.
func (c *client) ask(ctx context.Context, query string, now time.Time, queries int) reply {
	timeout := c.config.Timeout.Duration
	x := &exchange{maxBytes: min(int64(max(queries, 1))*c.config.MaxResponseBytes, maxMergedBytes)}
	limited, cancel := context.WithTimeout(context.WithValue(ctx, exchangeKey{}, x), timeout)
	defer cancel()
	value, warnings, _, err := c.api.Query(limited, query, now, promv1.WithTimeout(timeout), promv1.WithLimit(uint64(c.config.MaxSamples)))
	if err == nil {
		vector, isVector := value.(model.Vector)
		if isVector && len(vector) > c.config.MaxSamples {
			return reply{err: fmt.Errorf("the answer has %d samples, at most %d are allowed", len(vector), c.config.MaxSamples)}
		}
		return reply{value: value, warnings: warnings}
	}
	return c.failure(ctx, err, x)
}

// failure leaves out of an error what changes from one time to the next, such as
// the local port.
func (c *client) failure(ctx context.Context, err error, x *exchange) reply {
	x.mu.Lock()
	status := x.status
	x.mu.Unlock()
	var broken *url.Error
	var limit *limitError
	var refused *promv1.Error
	var local *localError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return reply{err: errors.New("the time for reading has ended"), undecided: true}
	case ctx.Err() != nil:
		return reply{err: errors.New("no answer before the time for reading ended"), down: true, slow: true}
	case errors.Is(err, context.DeadlineExceeded):
		return reply{err: fmt.Errorf("no answer within %s", c.config.Timeout.Duration), down: true, slow: true}
	case errors.As(err, &limit):
		return reply{err: limit}
	case errors.As(err, &local):
		return reply{err: local, undecided: true}
	case errors.As(err, &refused):
		return reply{err: err, down: status >= 500 || status == http.StatusTooManyRequests}
	case errors.As(err, &broken):
		err = broken.Err
	}
	return reply{err: err, down: true}
}

// transport adds to requests who is asking, and an end to answers. It connects
// anew when the files of the TLS configuration have changed.
type transport struct {
	config Server

	mu    sync.Mutex
	http  *http.Transport
	files []os.FileInfo
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	next, err := t.current()
	if err != nil {
		return nil, &localError{err}
	}
	req = req.Clone(req.Context())
	if err := t.identify(req); err != nil {
		return nil, &localError{err}
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	x := req.Context().Value(exchangeKey{}).(*exchange)
	x.mu.Lock()
	x.status = resp.StatusCode
	x.mu.Unlock()
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: x.maxBytes, limit: x.maxBytes}
	return resp, nil
}

// identify reads the files each time: they are small, and rotated.
func (t *transport) identify(req *http.Request) error {
	for name, value := range t.config.Headers {
		req.Header.Set(name, value)
	}
	for _, name := range slices.Sorted(maps.Keys(t.config.HeadersFromFiles)) {
		value, err := secret("header "+name, t.config.HeadersFromFiles[name])
		if err != nil {
			return err
		}
		req.Header.Set(name, value)
	}
	if t.config.BearerTokenFile != "" {
		token, err := secret("bearer token", t.config.BearerTokenFile)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if auth := t.config.BasicAuth; auth != nil {
		password, err := secret("password", auth.PasswordFile)
		if err != nil {
			return err
		}
		req.SetBasicAuth(auth.Username, password)
	}
	return nil
}

func secret(what, file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	value := strings.TrimSpace(string(content))
	if value == "" || strings.ContainsAny(value, "\r\n\x00") {
		return "", fmt.Errorf("read %s: %s must have one line, not empty", what, file)
	}
	return value, nil
}

// current is the transport for the TLS files as they are now.
func (t *transport) current() (*http.Transport, error) {
	files, err := t.stat()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.http != nil && slices.EqualFunc(files, t.files, isSame) {
		return t.http, nil
	}
	next, err := t.connect()
	if err != nil {
		return nil, err
	}
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
	t.http, t.files = next, files
	return next, nil
}

func (t *transport) stat() (files []os.FileInfo, err error) {
	if t.config.TLS == nil {
		return nil, nil
	}
	for _, file := range []string{t.config.TLS.CAFile, t.config.TLS.CertFile, t.config.TLS.KeyFile} {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		files = append(files, info)
	}
	return files, nil
}

func isSame(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (t *transport) connect() (*http.Transport, error) {
	next := http.DefaultTransport.(*http.Transport).Clone()
	next.MaxIdleConnsPerHost = t.config.Concurrency
	c := t.config.TLS
	if c == nil {
		return next, nil
	}
	next.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.ServerName,
		InsecureSkipVerify: c.InsecureSkipVerify, //nolint:gosec // the operator asks for it by this name
	}
	if c.CAFile != "" {
		content, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		next.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !next.TLSClientConfig.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("TLS: %s has no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS: %s and %s: %w", c.CertFile, c.KeyFile, err)
		}
		next.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return next, nil
}

func (t *transport) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
}

// localError is a fault on our side: the server has not been asked.
type localError struct{ error }

// limitError is the fault of an answer that is too long.
type limitError struct{ bytes int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("the answer is longer than %d bytes", e.bytes)
}

// limitedBody fails once more than limit bytes have been read.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, &limitError{b.limit}
	}
	return n, err
}
