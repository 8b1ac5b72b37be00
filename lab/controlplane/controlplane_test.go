package controlplane_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
)

// maxBoot is far above what a boot takes (about 3 s): only one that hangs fails.
const maxBoot = time.Minute

// TestMain keeps the components' logs for the case that something fails. As a child process it
// is one of the processes that TestADyingProcessLeavesNoDirectory ends.
func TestMain(m *testing.M) {
	if end := os.Getenv(dyingEnv); end != "" {
		quiet.Redirect(io.Discard)
		die(end, os.Getenv(dyingDirEnv))
	}
	os.Exit(quiet.Tests(m))
}

// shortDir is an empty directory with a path short enough for a unix socket below it.
func shortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "cp") //nolint:usetesting // tb.TempDir has the test's long name in its path
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(tb testing.TB, cfg controlplane.Config) (*controlplane.ControlPlane, time.Duration) {
	tb.Helper()
	begin := time.Now()
	cp, err := controlplane.Start(context.WithoutCancel(tb.Context()), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	boot := time.Since(begin)
	tb.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			tb.Errorf("stop: %v", err)
		}
	})
	return cp, boot
}

func clientFor(tb testing.TB, config *rest.Config) kubernetes.Interface {
	tb.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// eventually polls until the condition holds; an error that it returns ends the test.
func eventually(tb testing.TB, what string, condition func(ctx context.Context) (bool, error)) {
	tb.Helper()
	if err := wait.PollUntilContextTimeout(tb.Context(), 50*time.Millisecond, time.Minute, true, condition); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

func entries(tb testing.TB, dir string) []string {
	tb.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names
}

// TestControlPlane boots once, tries what a cluster must do, and stops.
func TestControlPlane(t *testing.T) {
	parent, audit := shortDir(t), filepath.Join(shortDir(t), "audit.log")
	listening := listeners(t)
	cp, boot := start(t, controlplane.Config{Dir: parent, AuditFile: audit})
	t.Logf("booted in %v", boot.Round(time.Millisecond))
	if boot > maxBoot {
		t.Errorf("boot took %v, more than %v", boot, maxBoot)
	}
	client := clientFor(t, cp.RESTConfig)

	t.Run("is ready and has its namespaces", func(t *testing.T) { answers(t, client) })
	t.Run("a second one is refused and leaves the first alone", func(t *testing.T) {
		if _, err := controlplane.Start(t.Context(), controlplane.Config{Dir: parent}); !errors.Is(err, controlplane.ErrRunning) {
			t.Errorf("got %v, want ErrRunning", err)
		}
		answers(t, client)
		if got := entries(t, parent); len(got) != 1 {
			t.Errorf("directories: got %v, want only that of the first", got)
		}
	})
	t.Run("its files are private", func(t *testing.T) { testPrivate(t, cp) })
	t.Run("plain kubectl lists namespaces", func(t *testing.T) { testKubectl(t, cp.Kubeconfig) })
	t.Run("RBAC decides what a service account may do", func(t *testing.T) { testRBAC(t, cp, client) })
	t.Run("the audit file says who was refused", func(t *testing.T) { testAudit(t, audit) })
	t.Run("without credentials only health is answered", func(t *testing.T) { testAnonymous(t, cp) })
	t.Run("controllers make a Deployment's pods and empty a namespace", func(t *testing.T) { testControllers(t, client) })
	t.Run("stop leaves neither directory nor port", func(t *testing.T) { testStop(t, cp, parent, listening) })
}

func answers(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	if body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context()); err != nil || string(body) != "ok" {
		t.Errorf("/readyz: got %q and error %v", body, err)
	}
	for _, name := range []string{"default", "kube-system"} {
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
}

func testPrivate(t *testing.T, cp *controlplane.ControlPlane) {
	user, err := cp.UserKubeconfig("someone", "some-group")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{cp.Dir: 0o700 | os.ModeDir, cp.Kubeconfig: 0o600, user: 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", path, info.Mode(), want)
		}
	}
}

func testKubectl(t *testing.T, kubeconfig string) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not on PATH")
	}
	command := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", kubeconfig, "get", "namespaces", "-o", "name")
	command.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "namespace/kube-system\n") {
		t.Errorf("kubectl: %v\n%s", err, out)
	}
}

func testRBAC(t *testing.T, cp *controlplane.ControlPlane, admin kubernetes.Interface) {
	const reader = "reader"
	_, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: reader}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := cp.ServiceAccountConfig(t.Context(), "default", reader)
	if err != nil {
		t.Fatal(err)
	}
	client := clientFor(t, config)
	list := func(ctx context.Context, namespace string) error {
		_, err := client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
		return err
	}
	if err := list(t.Context(), "default"); !apierrors.IsForbidden(err) {
		t.Fatalf("before a RoleBinding: got %v, want 403", err)
	}
	_, err = admin.RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: reader},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: reader},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: reader},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: reader}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "list secrets after the RoleBinding", func(ctx context.Context) (bool, error) {
		err := list(ctx, "default")
		if apierrors.IsForbidden(err) {
			return false, nil // the authorizer has not seen it yet
		}
		return err == nil, err
	})
	if err := list(t.Context(), "kube-system"); !apierrors.IsForbidden(err) {
		t.Errorf("in another namespace: got %v, want 403", err)
	}
}

// testAudit looks for the request that testRBAC was refused.
func testAudit(t *testing.T, file string) {
	eventually(t, "a line of the refused request", func(context.Context) (bool, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		for _, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
			var event auditv1.Event
			if err := json.Unmarshal(line, &event); err != nil {
				return false, fmt.Errorf("line %q: %w", line, err)
			}
			if event.User.Username == "system:serviceaccount:default:reader" && event.Verb == "list" &&
				event.ObjectRef.Resource == "secrets" && event.ResponseStatus.Code == http.StatusForbidden {
				return true, nil
			}
		}
		return false, nil
	})
}

func testAnonymous(t *testing.T, cp *controlplane.ControlPlane) {
	client := clientFor(t, &rest.Config{Host: cp.RESTConfig.Host, TLSClientConfig: rest.TLSClientConfig{CAData: cp.RESTConfig.CAData}})
	if _, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list namespaces: got %v, want 403", err)
	}
	if body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context()); err != nil {
		t.Errorf("/readyz: got %q and error %v, want an answer", body, err)
	}
}

func testControllers(t *testing.T, client kubernetes.Interface) {
	const name = "brief"
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := controlplane.WaitForServiceAccount(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	replicas, labels := int32(2), map[string]string{"app": name}
	_, err = client.AppsV1().Deployments(name).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "two pods of one ReplicaSet", func(ctx context.Context) (bool, error) {
		sets, err := client.AppsV1().ReplicaSets(name).List(ctx, metav1.ListOptions{})
		if err != nil || len(sets.Items) != 1 {
			return false, err
		}
		pods, err := client.CoreV1().Pods(name).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) != int(replicas) {
			return false, err
		}
		return metav1.IsControlledBy(&pods.Items[0], &sets.Items[0]) && metav1.IsControlledBy(&pods.Items[1], &sets.Items[0]), nil
	})
	if err := client.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

func testStop(t *testing.T, cp *controlplane.ControlPlane, parent string, before map[string]bool) {
	if err := cp.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got := entries(t, parent); len(got) != 0 {
		t.Errorf("left in %s: %v", parent, got)
	}
	address, err := url.Parse(cp.RESTConfig.Host)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", address.Host); err == nil {
		conn.Close()
		t.Errorf("%s still accepts connections", address.Host)
	}
	for address := range listeners(t) {
		if !before[address] {
			t.Errorf("this process still listens at %s (as /proc/net/tcp has it)", address)
		}
	}
	select {
	case <-cp.Done():
	default:
		t.Error("Done is not closed after Stop")
	}
	if err := cp.Stop(); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

// listeners are the addresses at which this process listens for TCP, as /proc/net/tcp has them.
func listeners(t *testing.T) map[string]bool {
	t.Helper()
	own := map[string]bool{} // inodes of this process' sockets
	for _, fd := range entries(t, "/proc/self/fd") {
		link, _ := os.Readlink("/proc/self/fd/" + fd) // closed meanwhile: no socket
		if inode, isSocket := strings.CutPrefix(link, "socket:["); isSocket {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	out := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			continue // no such protocol on this machine
		}
		for _, line := range strings.Split(string(text), "\n") {
			const address, state, inode, listen = 1, 3, 9, "0A"
			if f := strings.Fields(line); len(f) > inode && f[state] == listen && own[f[inode]] {
				out[f[address]] = true
			}
		}
	}
	return out
}

// TestStartRejects ends with a start that works: a refused one must leave nothing behind.
func TestStartRejects(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	parent := shortDir(t)
	for _, tc := range []struct {
		name string
		ctx  context.Context
		cfg  controlplane.Config
		want string
	}{
		{"a context that has ended", cancelled, controlplane.Config{Dir: parent}, "context canceled"},
		{
			"a directory that does not exist",
			t.Context(),
			controlplane.Config{Dir: filepath.Join(parent, "none")},
			"make private directory",
		},
		{
			"an unknown flag of kube-apiserver",
			t.Context(),
			controlplane.Config{Dir: parent, APIServerFlags: []string{"--no-such-flag"}},
			"flags of kube-apiserver: unknown flag: --no-such-flag",
		},
		{
			"a value that kube-apiserver refuses",
			t.Context(),
			controlplane.Config{Dir: parent, APIServerFlags: []string{"--authorization-mode=Guess"}},
			"options of kube-apiserver",
		},
		{
			"an unknown flag of kube-controller-manager",
			t.Context(),
			controlplane.Config{Dir: parent, ControllerManagerFlags: []string{"--no-such-flag"}},
			"flags of kube-controller-manager: unknown flag: --no-such-flag",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cp, err := controlplane.Start(tc.ctx, tc.cfg)
			if err == nil {
				t.Fatalf("started; want an error with %q (its end: %v)", tc.want, cp.Stop())
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, tc.want)
			}
			if got := entries(t, parent); len(got) != 0 {
				t.Errorf("left in %s: %v", parent, got)
			}
		})
	}
	start(t, controlplane.Config{Dir: parent})
}

func TestTheEndOfTheContextStopsIt(t *testing.T) {
	parent := shortDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cp, err := controlplane.Start(ctx, controlplane.Config{Dir: parent})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cp.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
	if got := entries(t, parent); len(got) != 0 {
		t.Errorf("left in %s: %v", parent, got)
	}
}

func TestTheEndOfTheContextStopsABoot(t *testing.T) {
	parent := shortDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // once etcd runs and kube-apiserver is about to
		for {
			files, _ := filepath.Glob(filepath.Join(parent, "*", "audit-policy.yaml"))
			if len(files) > 0 || ctx.Err() != nil {
				cancel()
				return
			}
			runtime.Gosched()
		}
	}()
	cp, err := controlplane.Start(ctx, controlplane.Config{Dir: parent, AuditFile: filepath.Join(shortDir(t), "audit.log")})
	if err == nil {
		t.Fatalf("started; want an error (its end: %v)", cp.Stop())
	}
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want one line that says it was cancelled", err)
	}
	if got := entries(t, parent); len(got) != 0 {
		t.Errorf("left in %s: %v", parent, got)
	}
}

// TestStopLeavesNoGoroutine looks at a boot that is not the first of the process. The first one
// leaves one goroutine of upstream behind, once (README.md names it); later ones leave none, so
// nothing is ignored but what was there before.
func TestStopLeavesNoGoroutine(t *testing.T) {
	warm, _ := start(t, controlplane.Config{Dir: shortDir(t)})
	if err := warm.Stop(); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	cp, _ := start(t, controlplane.Config{Dir: shortDir(t)})
	answers(t, clientFor(t, cp.RESTConfig))
	if err := cp.Stop(); err != nil {
		t.Fatal(err)
	}
	var leaked error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		leaked = goleak.Find(before)
		return leaked == nil, nil
	})
	if err != nil {
		t.Error(leaked)
	}
	for _, stack := range stacks() {
		if strings.Contains(stack, "plimsoll/lab/controlplane.") {
			t.Errorf("a goroutine of ours:\n%s", stack)
		}
	}
}

func stacks() []string {
	buf := make([]byte, 64<<20)
	return strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
}

const (
	dyingEnv    = "PLIMSOLL_TEST_DYING"
	dyingDirEnv = "PLIMSOLL_TEST_DYING_DIR"
)

// die boots a control plane below dir, says so, and panics or waits to be killed.
func die(end, dir string) {
	cp, err := controlplane.Start(context.Background(), controlplane.Config{Dir: dir})
	if err != nil {
		fmt.Println("start:", err)
		os.Exit(1)
	}
	fmt.Println(cp.Dir)
	if end == "panic" {
		panic("as the test asked for")
	}
	select {}
}

func TestADyingProcessLeavesNoDirectory(t *testing.T) {
	for _, end := range []string{"kill", "panic"} {
		t.Run(end, func(t *testing.T) {
			parent := shortDir(t)
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), dyingEnv+"="+end, dyingDirEnv+"="+parent)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			said := make([]byte, 256)
			n, err := out.Read(said)
			dir := strings.TrimSpace(string(said[:n]))
			if err != nil || filepath.Dir(dir) != parent {
				_ = child.Process.Kill() // and whatever comes of it, the test has failed
				t.Fatalf("the child said %q (%v), want a directory in %s", dir, err, parent)
			}
			if end == "kill" {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := child.Wait(); err == nil {
				t.Error("the child ended well, it was to die")
			}
			eventually(t, "its directory is gone", func(context.Context) (bool, error) { return len(entries(t, parent)) == 0, nil })
		})
	}
}

// BenchmarkStart reports the time to boot a ready control plane and, once it has been idle for a
// while, the memory of the whole process.
func BenchmarkStart(b *testing.B) {
	const idle = 10 * time.Second
	var boots time.Duration
	var resident float64
	n := 0
	for b.Loop() {
		cp, boot := start(b, controlplane.Config{Dir: shortDir(b)})
		time.Sleep(idle)
		debug.FreeOSMemory()
		resident = residentBytes(b)
		if err := cp.Stop(); err != nil {
			b.Fatal(err)
		}
		boots += boot
		n++
	}
	b.ReportMetric(boots.Seconds()/float64(n), "boot-s")
	b.ReportMetric(resident/1e6, "idle-MB")
	b.ReportMetric(0, "ns/op") // it would be the idle time
}

func residentBytes(tb testing.TB) float64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip("no /proc on this machine")
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				tb.Fatal(err)
			}
			return kib * 1024
		}
	}
	tb.Fatal("/proc/self/status has no VmRSS")
	return 0
}
