package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// certLifetime outlives any run of the lab.
const certLifetime = 30 * 24 * time.Hour

// authority is a certificate authority that lives as long as one control plane.
type authority struct {
	dir  string
	name string
	cert *x509.Certificate
	key  crypto.Signer
}

// newAuthority makes a self-signed CA and writes its certificate to dir/<name>.crt.
// The CA's key never touches the disk.
func newAuthority(dir, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of %s: %w", name, err)
	}
	cert, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: name}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate of %s: %w", name, err)
	}
	a := &authority{dir: dir, name: name, cert: cert, key: key}
	return a, os.WriteFile(a.certFile(), a.pem(), 0o600)
}

func (a *authority) certFile() string { return filepath.Join(a.dir, a.name+".crt") }

func (a *authority) pem() []byte {
	return encodeCerts(a.cert)
}

// keyPair is a certificate with its key, in memory and on disk (mode 0600).
type keyPair struct {
	certPEM, keyPEM   []byte
	certFile, keyFile string
}

// issue signs a certificate for both client and server use on loopback.
// The organizations become the user's groups when it is used as a client.
func (a *authority) issue(commonName string, dnsNames []string, organizations ...string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("make key of %s: %w", commonName, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return keyPair{}, fmt.Errorf("make serial of %s: %w", commonName, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName, Organization: organizations},
		DNSNames:     append([]string{"localhost"}, dnsNames...),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    a.cert.NotBefore,
		NotAfter:     time.Now().Add(certLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("sign certificate of %s: %w", commonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return keyPair{}, fmt.Errorf("parse certificate of %s: %w", commonName, err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encode key of %s: %w", commonName, err)
	}
	return a.write(commonName, encodeCerts(cert), keyPEM)
}

func (a *authority) write(name string, certPEM, keyPEM []byte) (keyPair, error) {
	base := filepath.Join(a.dir, a.name+"-"+fileName(name))
	pair := keyPair{certPEM: certPEM, keyPEM: keyPEM, certFile: base + ".crt", keyFile: base + ".key"}
	if err := os.WriteFile(pair.certFile, certPEM, 0o600); err != nil {
		return keyPair{}, fmt.Errorf("write certificate of %s: %w", name, err)
	}
	if err := os.WriteFile(pair.keyFile, keyPEM, 0o600); err != nil {
		return keyPair{}, fmt.Errorf("write key of %s: %w", name, err)
	}
	return pair, nil
}

// newSigningKey writes a key that signs service account tokens to dir/name.
func newSigningKey(dir, name string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make key %s: %w", name, err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return "", fmt.Errorf("encode key %s: %w", name, err)
	}
	file := filepath.Join(dir, name)
	return file, os.WriteFile(file, keyPEM, 0o600)
}

func encodeCerts(certs ...*x509.Certificate) []byte {
	out, err := certutil.EncodeCertificates(certs...)
	if err != nil {
		panic(fmt.Sprintf("encode a parsed certificate: %v", err)) // cannot happen: pem.Encode to memory
	}
	return out
}

// fileName makes a certificate's common name safe as a file name.
func fileName(commonName string) string {
	out := []byte(commonName)
	for i, b := range out {
		if b == ':' || b == '/' {
			out[i] = '-'
		}
	}
	return string(out)
}
