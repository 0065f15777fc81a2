package main

import (
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
)

// pages answers requests on a port of its own by their path.
func pages(t *testing.T, answers map[string]string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 2048)
			n, _ := c.Read(b)
			path := strings.Fields(string(b[:n]) + " ? ?")[1]
			io.WriteString(c, strings.ReplaceAll(answers[path], "REQUEST", string(b[:n])))
			c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// The outputs are those of keepalived 2.3.4.
func TestGenhash(t *testing.T) { t.Run("L-G13", testGenhash) }

func testGenhash(t *testing.T) {
	port := pages(t, map[string]string{
		"/":     "HTTP/1.0 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello world",
		"/404":  "HTTP/1.0 404 Not Found\r\n\r\nhello",
		"/head": "HTTP/1.0 200",
		"/echo": "HTTP/1.0 200 OK\r\n\r\nREQUEST",
	})
	const noData = "no data received from remote webserver\n"
	for _, c := range []struct {
		args           string // after the server and the port
		stdout, stderr string
	}{
		{"-u /", "5d41402abc4b2a76b9719d911017c592\n", ""},
		{"--url=/404 --timeout 9", "5d41402abc4b2a76b9719d911017c592\n", ""},
		{"-u /nothing", "", noData},
		{"-u /head", "", noData},
		{"-u / -v", `-----------------------[    HTTP Header Buffer    ]-----------------------
0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK.
0016  0a 53 65 72 76 65 72 3a - 20 78 0d 0a 43 6f 6e 74   .Server: x..Cont
0032  65 6e 74 2d 4c 65 6e 67 - 74 68 3a 20 35 0d 0a 0d   ent-Length: 5...
0048  0a                      -                           .               
-----------------------[ HTTP Header Ascii Buffer ]-----------------------
HTTP/1.0 200 OK
Server: x
Content-Length: 5


-----------------------[        HTML Buffer        ]-----------------------
0000  68 65 6c 6c 6f          -                           hello           

-----------------------[    HTML hash resulting    ]-----------------------
0000  5d 41 40 2a bc 4b 2a 76 - b9 71 9d 91 10 17 c5 92   ]A@*.K*v.q......
-----------------------[ HTML hash final resulting ]-----------------------
5d41402abc4b2a76b9719d911017c592

Global response time for [/] = N usecs
`, ""},
		{"-u /head --verbose", `-----------------------[    HTTP Header Buffer    ]-----------------------

-----------------------[    HTML hash resulting    ]-----------------------
0000  d4 1d 8c d9 8f 00 b2 04 - e9 80 09 98 ec f8 42 7e   ..............B~
-----------------------[ HTML hash final resulting ]-----------------------

Global response time for [/head] = N usecs
`, noData},
		// MD5 of "GET /echo HTTP/1.1…Connection: close…Host: www.example…"
		{"-u /echo -P 1.1 -V www.example", "73936a57f2c05bd498d7e9af97855e65\n", ""},
	} {
		args := append([]string{"-s", "127.0.0.1", "-p", port}, strings.Fields(c.args)...)
		for _, as := range [][]string{{"genhash"}, {"keepalived", "-T"}} {
			stdout, stderr, code := program(t, as[0], append(as[1:], args...)...)
			stdout = regexp.MustCompile(`= \d+ usecs`).ReplaceAllString(strings.ReplaceAll(stdout, "\r", ""), "= N usecs")
			if stdout != c.stdout || stderr != c.stderr || code != 0 {
				t.Errorf("%s %s: exit code %d, standard error %q, output:\n%s", as, c.args, code, stderr, stdout)
			}
		}
	}
}

func TestGenhashRefuses(t *testing.T) {
	for args, complaint := range map[string]string{
		"":                               "",
		"-h -s 127.0.0.1 -p 1 -u /":      "",
		"-s 127.0.0.1 -p 1":              "",
		"-s host -p 1 -u /":              "server should be an IP, not host\n",
		"-s 127.0.0.1 -p 0 -u /":         "invalid port number '0'\n",
		"-s 127.0.0.1 -p 1 -u / -P 2":    "invalid HTTP protocol version '2'\n",
		"-s 127.0.0.1 -p 1 -u / -m -1":   "invalid fwmark '-1'\n",
		"-s 127.0.0.1 -p 1 -u / -t x -Z": "invalid timeout 'x'\n",
		"-s 127.0.0.1 -p 1 -u / more":    "Unexpected argument(s): more\n",
		"-h -Z":                          "Unknown option -Z\n",
		"-s":                             "Missing parameter for option -s\n",
	} {
		stdout, stderr, code := program(t, "genhash", strings.Fields(args)...)
		if want := complaint + "Usage: genhash COMMAND [OPTIONS]\nCommands:\n"; code != 1 || stdout != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("genhash %s: exit code %d, output %q, standard error:\n%s", args, code, stdout, stderr)
		}
	}
}

func TestGenhashWithoutServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	// As a mode it wants to be asked for first.
	for _, args := range []string{"-n -T", "-nT", "-f x --genhash"} {
		stdout, stderr, code := program(t, "keepalived", strings.Fields(args+" -s 127.0.0.1 -p "+port+" -u /")...)
		if want := "Warning -- `-T` not used as first option, previous options ignored\nConnection failed\n"; code != 0 || stdout+stderr != want && stderr+stdout != want {
			t.Errorf("%s: exit code %d, output %q, standard error %q", args, code, stdout, stderr)
		}
	}
	if stdout, stderr, code := program(t, "genhash", "-s", "127.0.0.1", "-p", port, "-u", "/"); code != 0 || stdout != "Connection failed\n" || stderr != "" {
		t.Errorf("exit code %d, output %q, standard error %q", code, stdout, stderr)
	}
}
