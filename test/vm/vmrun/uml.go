package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func umlCmd(c *config, self, state string) (*exec.Cmd, error) {
	root, err := filepath.Abs(c.root)
	if err != nil {
		return nil, err
	}
	env := os.Environ()
	libc := ""
	if root != "/" { // fetch.sh's linux.uml wants ./ld-linux-x86-64.so.2 and its libc
		root = filepath.Join(root, "uml")
		libc = filepath.Join(root, "usr/lib/x86_64-linux-gnu")
		env = append(env, "LD_LIBRARY_PATH="+libc)
	}
	dep, err := only(filepath.Join(root, "usr/lib/uml/modules/*/modules.dep"))
	if err != nil {
		return nil, err
	}
	c.ModDir = filepath.Dir(dep)
	jobFile := filepath.Join(state, "job")
	if err := writeJob(c, jobFile); err != nil {
		return nil, err
	}
	args := []string{"mem=" + c.mem, "uml_dir=" + state, "umid=uml", "panic=-1",
		"rootfstype=hostfs", "rootflags=/", "ro", "init=" + self, "vmjob=" + jobFile,
		"con=null", "con0=null,fd:1", "con1=null,fd:3", "con2=null,fd:4", "con3=null,fd:5"}
	if libc != "" { // 6.16 or later: faster than ptrace, and processes die with UML
		args = append(args, "seccomp=on")
	}
	if !c.verbose {
		args = append(args, "quiet")
	}
	if c.append != "" {
		args = append(args, c.append)
	}
	if err := pin(); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(root, "usr/bin/linux.uml"), args...)
	cmd.Dir, cmd.Env = libc, env
	return cmd, nil
}

// pin confines this thread, and so what it starts, to one of its CPUs. UML runs one thread at a time but hands over between
// processes at each system call: across CPUs every hand-over wakes an idle one, at 20 times the cost.
func pin() error {
	var mine, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return err
	}
	skip := rand.IntN(mine.Count())
	for cpu := 0; ; cpu++ {
		if !mine.IsSet(cpu) {
			continue
		}
		if skip == 0 {
			one.Set(cpu)
			return unix.SchedSetaffinity(0, &one)
		}
		skip--
	}
}
