// Package guard opens a program that is to run with root's rights, if nobody but root can have altered it.
package guard

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may lead over, as in the kernel.
const maxLinks = 40

// Program is an opened program.
type Program struct {
	fd   int
	path string
}

// Open opens the program at an absolute path and judges what it has opened, component by component from the root: each must be root's and
// nobody else's to write, but for sticky directories, in which only its owner can replace a file. A directory in the path as written
// must not be a symbolic link (keepalived 2.4); the program itself may be one, of root's.
//
// Differs from keepalived: it judges when the configuration is read, not what it runs.
//
// Each name is looked up in a directory that has been judged, and that is held open: so what is returned is what was judged, whatever
// happens to the names.
func Open(path string) (*Program, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is no absolute path", path)
	}
	p, err := walk(path)
	if err != nil {
		return nil, fmt.Errorf("insecure: %w", err)
	}
	return p, nil
}

func walk(path string) (*Program, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	defer func() { unix.Close(dir) }()
	rest := strings.Split(strings.Trim(path, "/"), "/") // not cleaned: x/.. is not nothing where x is a link
	at := ""                                            // the path so far, for messages
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open %s/%s: %w", at, name, err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("%s/%s: %w", at, name, err)
		}
		if err := judge(&st, len(rest) == 0); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("%s/%s %w", at, name, err)
		}
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFLNK:
			target, err := readlink(fd)
			unix.Close(fd)
			if links++; err == nil && (links > maxLinks || links == 1 && len(rest) > 0) {
				err = errors.New("is a symbolic link")
			}
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", at, name, err)
			}
			if filepath.IsAbs(target) {
				unix.Close(dir)
				if dir, err = root(); err != nil {
					return nil, err
				}
				at = ""
			}
			rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
		case len(rest) == 0:
			return &Program{fd, path}, nil
		default:
			unix.Close(dir)
			dir, at = fd, at+"/"+name
		}
	}
	return nil, fmt.Errorf("%s is no program", path)
}

func root() (int, error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /: %w", err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = judge(&st, false)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("/ %w", err)
	}
	return fd, nil
}

// judge says what is wrong with a component; last is the program itself.
func judge(st *unix.Stat_t, last bool) error {
	kind := st.Mode & unix.S_IFMT
	link, isDir := kind == unix.S_IFLNK, kind == unix.S_IFDIR
	switch {
	case st.Uid != 0:
		return errors.New("is not owned by root")
	case link: // its own mode says nothing
		return nil
	case last && kind != unix.S_IFREG:
		return errors.New("is no regular file")
	case !last && !isDir:
		return errors.New("is no directory")
	case isDir && st.Mode&unix.S_ISVTX != 0:
		return nil
	case st.Mode&0o002 != 0:
		return errors.New("is writable by all")
	case st.Mode&0o020 != 0 && st.Gid != 0:
		return errors.New("is writable by its group")
	}
	return nil
}

func readlink(fd int) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// Path is what to execute so that the opened file is what runs, as long as the Program is not closed.
//
// A file that names its interpreter (#!) is the exception: it runs by its path. The kernel would take a descriptor for it (execveat), but then
// the script's name is /dev/fd/N, which breaks whatever finds its neighbours by $0, and it inherits the descriptor. Nothing is lost: to put
// something else at the path one has to write to a directory on it, and each of these was found to be root's alone when it was judged.
func (p *Program) Path() string {
	byFD := fmt.Sprintf("/proc/self/fd/%d", p.fd)
	fd, err := unix.Open(byFD, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return byFD // it can be executed without being readable
	}
	defer unix.Close(fd)
	var magic [4]byte
	if n, err := unix.Pread(fd, magic[:], 0); err == nil && n == len(magic) && string(magic[:]) == "\x7fELF" {
		return byFD
	}
	return p.path
}

// Close closes the file. Path is of no use any more.
func (p *Program) Close() { unix.Close(p.fd) }
