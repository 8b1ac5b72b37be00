package controlplane_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
)

func TestStart(t *testing.T) {
	for range 2 {
		begin := time.Now()
		cp, err := controlplane.Start(t.Context(), controlplane.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Log("boot", time.Since(begin))
		client, err := kubernetes.NewForConfig(cp.RESTConfig)
		if err != nil {
			t.Fatal(err)
		}
		ns, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(len(ns.Items))
		begin = time.Now()
		if err := cp.Stop(); err != nil {
			t.Fatal(err)
		}
		t.Log("stop", time.Since(begin))
	}
}
