package controlplane

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// removeOnEnd reads standard input until it closes, which the kernel does for us however this
// process ends, and then removes the directory. It tries for a while: the dying process may
// still be writing.
const removeOnEnd = `cat >/dev/null; for i in 1 2 3 4 5; do rm -rf -- "$1" && exit 0; sleep 0.2; done`

// privateDir makes a directory that only this user can enter and that outlives neither release
// nor the process.
func privateDir(parent string) (dir string, release func() error, err error) {
	dir, err = os.MkdirTemp(parent, "plimsoll-")
	if err != nil {
		return "", nil, fmt.Errorf("make private directory: %w", err)
	}
	alive, watcher, err := watch(dir)
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	release = func() error {
		err := os.RemoveAll(dir)
		alive.Close()
		_ = watcher.Wait() // its exit code says nothing: the directory is already gone
		return err
	}
	return dir, release, nil
}

// watch starts a shell that outlives signals to our terminal's process group and removes dir
// once this process is gone.
func watch(dir string) (alive io.Closer, watcher *exec.Cmd, err error) {
	watcher = exec.Command("/bin/sh", "-c", removeOnEnd, "plimsoll-watch", dir)
	watcher.Dir = "/"
	watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	alive, err = watcher.StdinPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("pipe to the directory's watcher: %w", err)
	}
	if err := watcher.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the directory's watcher: %w", err)
	}
	return alive, watcher, nil
}
