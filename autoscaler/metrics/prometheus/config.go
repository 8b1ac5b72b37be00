package prometheus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// What a configuration file says it is.
const (
	ConfigAPIVersion = "autoscaling.plimsoll.dev/v1alpha1"
	ConfigKind       = "AutoscalerConfiguration"
)

// maxMergedBytes is the most that the answer to a merged query may be.
const maxMergedBytes = 64 << 20

// Server is a Prometheus server of the operator's. Objects refer to it by name
// only. Files are read again whenever they change.
type Server struct {
	// Name is how objects refer to it, "default" if they do not say; 1 to 63
	// characters.
	Name string `json:"name"`
	// URL is the address of its API without /api/v1; http or https.
	URL string `json:"url"`
	// TLS is for https; by default the system's authorities are trusted.
	TLS *TLS `json:"tls,omitempty"`
	// BearerTokenFile is a file with a bearer token; empty for none.
	BearerTokenFile string `json:"bearerTokenFile,omitempty"`
	// BasicAuth is a user and a password; not beside a bearer token.
	BasicAuth *BasicAuth `json:"basicAuth,omitempty"`
	// Headers are sent with every query, as a tenant's name.
	Headers map[string]string `json:"headers,omitempty"`
	// HeadersFromFiles are headers whose values are secret: by header the file.
	HeadersFromFiles map[string]string `json:"headersFromFiles,omitempty"`
	// Timeout of a query; default 5s, at most 30s.
	Timeout metav1.Duration `json:"timeout,omitempty"`
	// MaxResponseBytes is how long the answer to one query may be, decompressed;
	// default 1 MiB, 1 KiB to 64 MiB. The answer to a merged query may be as long
	// as the answers to those merged, but not longer than 64 MiB.
	MaxResponseBytes int64 `json:"maxResponseBytes,omitempty"`
	// MaxSamples is how many samples an answer may have; default 50000, 1 to
	// 5000000.
	MaxSamples int `json:"maxSamples,omitempty"`
	// MaxQueryLength is how long a query may be, merged ones included, in bytes;
	// default 16384, 256 to 1048576.
	MaxQueryLength int `json:"maxQueryLength,omitempty"`
	// Concurrency is how many queries are asked at once; default 8, 1 to 256. A
	// namespace has at most half of it for the queries that are its own.
	Concurrency int `json:"concurrency,omitempty"`
	// NamespaceLabel is the label that names a series' namespace; default
	// "namespace".
	NamespaceLabel string `json:"namespaceLabel,omitempty"`
	// PodLabel is the label that names a series' pod; default "pod".
	PodLabel string `json:"podLabel,omitempty"`
	// UnconfinedNamespaces are those whose objects may query all namespaces.
	UnconfinedNamespaces []string `json:"unconfinedNamespaces,omitempty"`
}

// TLS says whom to trust and who we are.
type TLS struct {
	// CAFile has the authorities to trust, PEM; default the system's.
	CAFile string `json:"caFile,omitempty"`
	// CertFile and KeyFile are our certificate, PEM; both or neither.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// ServerName is the name in the server's certificate; default the URL's host.
	ServerName string `json:"serverName,omitempty"`
	// InsecureSkipVerify trusts anyone.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// BasicAuth is a user and the file with the password.
type BasicAuth struct {
	Username     string `json:"username"`
	PasswordFile string `json:"passwordFile"`
}

// configuration is a file.
type configuration struct {
	metav1.TypeMeta   `json:",inline"`
	PrometheusServers []Server `json:"prometheusServers,omitempty"`
}

// LoadConfig reads the servers from a file in YAML or JSON. Fields that are
// unknown, given twice or out of range are errors that name the field, the value
// and what is allowed.
func LoadConfig(path string) ([]Server, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parseConfig(path, content)
}

func parseConfig(path string, content []byte) ([]Server, error) {
	var c configuration
	text, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	// Unlike the standard library, capital letters count: timeOut is no timeout.
	strict, err := json.UnmarshalStrict(text, &c)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	var faults field.ErrorList
	if c.APIVersion != ConfigAPIVersion {
		faults = append(faults, field.NotSupported(field.NewPath("apiVersion"), c.APIVersion, []string{ConfigAPIVersion}))
	}
	if c.Kind != ConfigKind {
		faults = append(faults, field.NotSupported(field.NewPath("kind"), c.Kind, []string{ConfigKind}))
	}
	faults = append(faults, validate(c.PrometheusServers)...)
	if err := faults.ToAggregate(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c.PrometheusServers, nil
}

// Watch applies the servers of the file at path, at once and whenever its content
// changes, until ctx ends. It looks every so often. A file that is missing, wrong
// or not applied is reported, once, and what was applied before stays.
func Watch(ctx context.Context, path string, every time.Duration, apply func([]Server) error, report func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var seen []byte
	var failed string
	for first := true; ; first = false {
		content, err := os.ReadFile(path)
		if err == nil && (first || failed != "" || !bytes.Equal(content, seen)) {
			seen = content
			err = load(path, content, apply)
		}
		switch {
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			report(fmt.Errorf("reload, the configuration before stays: %w", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func load(path string, content []byte, apply func([]Server) error) error {
	servers, err := parseConfig(path, content)
	if err != nil {
		return err
	}
	return apply(servers)
}

// withDefaults fills in what is not set.
func (s Server) withDefaults() Server {
	if s.Timeout.Duration == 0 {
		s.Timeout.Duration = 5 * time.Second
	}
	if s.MaxResponseBytes == 0 {
		s.MaxResponseBytes = 1 << 20
	}
	if s.MaxSamples == 0 {
		s.MaxSamples = 50000
	}
	if s.MaxQueryLength == 0 {
		s.MaxQueryLength = 16 << 10
	}
	if s.Concurrency == 0 {
		s.Concurrency = 8
	}
	if s.NamespaceLabel == "" {
		s.NamespaceLabel = "namespace"
	}
	if s.PodLabel == "" {
		s.PodLabel = "pod"
	}
	return s
}

func validate(servers []Server) (faults field.ErrorList) {
	names := sets.New[string]()
	for i, s := range servers {
		path := field.NewPath("prometheusServers").Index(i)
		if names.Has(s.Name) {
			faults = append(faults, field.Duplicate(path.Child("name"), s.Name))
		}
		names.Insert(s.Name)
		faults = append(faults, s.validate(path)...)
	}
	return faults
}

func (s Server) validate(path *field.Path) (faults field.ErrorList) {
	if len(s.Name) < 1 || len(s.Name) > 63 {
		faults = append(faults, field.Invalid(path.Child("name"), s.Name, "must have 1 to 63 characters"))
	}
	faults = append(faults, validateURL(path.Child("url"), s.URL)...)
	faults = append(faults, s.validateTLS(path.Child("tls"))...)
	faults = append(faults, s.validateIdentity(path)...)
	d := s.withDefaults()
	faults = append(faults, between(path.Child("timeout"), d.Timeout.Duration, time.Millisecond, 30*time.Second)...)
	faults = append(faults, between(path.Child("maxResponseBytes"), d.MaxResponseBytes, 1<<10, maxMergedBytes)...)
	faults = append(faults, between(path.Child("maxSamples"), d.MaxSamples, 1, 5_000_000)...)
	faults = append(faults, between(path.Child("maxQueryLength"), d.MaxQueryLength, 256, 1<<20)...)
	faults = append(faults, between(path.Child("concurrency"), d.Concurrency, 1, 256)...)
	for child, label := range map[string]string{"namespaceLabel": d.NamespaceLabel, "podLabel": d.PodLabel} {
		if !isLabelName(label) {
			faults = append(faults, field.Invalid(path.Child(child), label, "must be the name of a label: letters, digits and _, no digit first"))
		}
	}
	for i, namespace := range s.UnconfinedNamespaces {
		if namespace == "" {
			faults = append(faults, field.Invalid(path.Child("unconfinedNamespaces").Index(i), namespace, "must be the name of a namespace"))
		}
	}
	return faults
}

func validateURL(path *field.Path, address string) field.ErrorList {
	u, err := url.Parse(address)
	if err != nil {
		var broken *url.Error
		if errors.As(err, &broken) {
			err = broken.Err // without the URL, which may have a password
		}
		return field.ErrorList{field.Invalid(path, "", err.Error())}
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return field.ErrorList{field.Invalid(path, u.Redacted(), "must be http://host or https://host, with a port and a path if need be")}
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return field.ErrorList{field.Invalid(path, u.Redacted(), "must not have user information, a query or a fragment")}
	}
	return nil
}

func (s Server) validateTLS(path *field.Path) (faults field.ErrorList) {
	if s.TLS == nil {
		return nil
	}
	if !strings.HasPrefix(s.URL, "https:") {
		faults = append(faults, field.Invalid(path, s.URL, "is for URLs with https only"))
	}
	if (s.TLS.CertFile == "") != (s.TLS.KeyFile == "") {
		faults = append(faults, field.Invalid(path.Child("certFile"), s.TLS.CertFile, "certFile and keyFile must both be set or neither"))
	}
	if s.TLS.InsecureSkipVerify && s.TLS.CAFile != "" {
		faults = append(faults, field.Invalid(path.Child("insecureSkipVerify"), true, "must not be set beside caFile"))
	}
	return faults
}

func (s Server) validateIdentity(path *field.Path) (faults field.ErrorList) {
	if s.BasicAuth != nil {
		if s.BearerTokenFile != "" {
			faults = append(faults, field.Invalid(path.Child("bearerTokenFile"), s.BearerTokenFile, "must not be set beside basicAuth"))
		}
		if s.BasicAuth.Username == "" {
			faults = append(faults, field.Required(path.Child("basicAuth", "username"), ""))
		}
		if s.BasicAuth.PasswordFile == "" {
			faults = append(faults, field.Required(path.Child("basicAuth", "passwordFile"), ""))
		}
	}
	seen := sets.New[string]()
	for child, headers := range map[string]map[string]string{"headers": s.Headers, "headersFromFiles": s.HeadersFromFiles} {
		for _, name := range sets.List(sets.KeySet(headers)) {
			if fault := headerFault(name, headers[name], seen); fault != "" {
				faults = append(faults, field.Invalid(path.Child(child).Key(name), name, fault))
			}
		}
	}
	return faults
}

// headerFault says what is wrong with a header, and remembers it.
func headerFault(name, value string, seen sets.Set[string]) string {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	defer seen.Insert(canonical)
	switch {
	case name == "" || strings.Trim(name, "-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "":
		return "must be the name of a header: letters, digits, - and _"
	case seen.Has(canonical):
		return "is set twice"
	case value == "" || strings.ContainsAny(value, "\r\n\x00"):
		return "the value must be one line, not empty"
	}
	switch canonical {
	case "Authorization":
		return "must be set by bearerTokenFile or basicAuth"
	case "Host", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding":
		return "is not for configuration to set"
	}
	return ""
}

func between[T int | int64 | time.Duration](path *field.Path, value, least, most T) field.ErrorList {
	if least <= value && value <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(path, fmt.Sprint(value), fmt.Sprintf("must be from %v to %v, or left out", least, most))}
}

func isLabelName(s string) bool {
	const letters = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return s != "" && strings.Trim(s, letters+"0123456789") == "" && strings.ContainsRune(letters, rune(s[0]))
}
