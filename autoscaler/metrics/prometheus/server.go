package prometheus

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// MaxAnswerBytes is how much of an answer is read; a longer one is an error.
const MaxAnswerBytes = 1 << 20

const maxRedirects = 3

// Server is a Prometheus server of the operator's.
type Server struct {
	// Name is how objects refer to it, "default" if they do not say.
	Name string
	// URL is the address of its API without /api/v1; http or https.
	URL string
	// BearerTokenFile is a file with a bearer token, read for every query; empty
	// for none.
	BearerTokenFile string
}

// connect checks the configuration; it opens no connection yet.
func connect(config Server) (*server, error) {
	if config.Name == "" {
		return nil, errors.New("name must not be empty")
	}
	u, err := url.Parse(config.URL)
	if err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("URL %q: must be http://host or https://host, with a port and a path if need be", u.Redacted())
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("URL %q: must not have user information, a query or a fragment", u.Redacted())
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client, err := api.NewClient(api.Config{
		Address: config.URL,
		Client: &http.Client{
			Transport:     limitedTransport{next: transport, tokenFile: config.BearerTokenFile},
			CheckRedirect: sameHostOnly,
		},
	})
	if err != nil {
		return nil, err
	}
	return &server{api: promv1.NewAPI(client), closeIdle: transport.CloseIdleConnections}, nil
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

// limitedTransport adds the token to requests and an end to answers.
type limitedTransport struct {
	next      http.RoundTripper
	tokenFile string
}

// RoundTrip implements http.RoundTripper.
func (t limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.tokenFile != "" {
		token, err := os.ReadFile(t.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read bearer token: %w", err)
		}
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: MaxAnswerBytes}
	return resp, nil
}

// limitedBody fails once more than left bytes have been read.
type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", MaxAnswerBytes)
	}
	return n, err
}
