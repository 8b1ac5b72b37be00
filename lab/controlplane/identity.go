package controlplane

import (
	"context"
	"fmt"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// UserKubeconfig writes a kubeconfig for a user with a client certificate, as kubeadm makes one
// for kube-scheduler. RBAC decides what the user and the groups may do.
func (cp *ControlPlane) UserKubeconfig(user string, groups ...string) (file string, err error) {
	pair, err := cp.pki.ca.issue(user, nil, groups...)
	if err != nil {
		return "", err
	}
	return cp.writeKubeconfig(user, fileName(user)+".kubeconfig", pair.authInfo())
}

// ServiceAccountKubeconfig writes a kubeconfig that acts as the service account; see
// ServiceAccountConfig.
func (cp *ControlPlane) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (file string, err error) {
	config, err := cp.ServiceAccountConfig(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	return cp.writeKubeconfig(name, fmt.Sprintf("%s-%s.kubeconfig", namespace, name), &clientcmdapi.AuthInfo{Token: config.BearerToken})
}

func (p keyPair) authInfo() *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{ClientCertificateData: p.certPEM, ClientKeyData: p.keyPEM}
}
