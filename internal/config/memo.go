package config

import "sync"

// memo is a Host that is asked for each thing once: ten thousand scripts may be one program.
type memo struct {
	Host
	all        func() map[string]Interface // nil: they are asked for one by one
	links      func() []Link
	spaces     map[string]space
	files      map[string]answer[File]
	paths      map[string]answer[string]
	interfaces map[string]answer[Interface]
	tables     map[string]answer[uint32] // routing tables of VRFs
	numbers    map[named]answer[uint32]
	users      map[string]answer[User]
	groups     map[string]answer[uint32]
	self       *User
}

type answer[V any] struct {
	v   V
	err error
	ok  bool
}

// lister is a Host that knows all of its interfaces when it is asked for one.
type lister interface{ Interfaces() map[string]Interface }

// named is a name in a table of iproute2.
type named struct{ usr, etc, table, name string }

// space is a network namespace.
type space struct {
	host Host
	id   string
	err  error
}

// Remember returns a host that asks another for each thing once.
func Remember(h Host) Host {
	if _, ok := h.(*memo); ok {
		return h
	}
	m := &memo{Host: h, links: sync.OnceValue(h.Links), spaces: map[string]space{}, tables: map[string]answer[uint32]{}, numbers: map[named]answer[uint32]{},
		files: map[string]answer[File]{}, paths: map[string]answer[string]{},
		interfaces: map[string]answer[Interface]{}, users: map[string]answer[User]{}, groups: map[string]answer[uint32]{}}
	if l, ok := h.(lister); ok {
		m.all = sync.OnceValue(l.Interfaces)
	}
	return m
}

func ask[K comparable, V any](known map[K]answer[V], name K, ask func(K) answer[V]) answer[V] {
	a, ok := known[name]
	if !ok {
		a = ask(name)
		known[name] = a
	}
	return a
}

func fallible[V any](f func(string) (V, error)) func(string) answer[V] {
	return func(name string) answer[V] { v, err := f(name); return answer[V]{v: v, err: err} }
}

func certain[V any](f func(string) (V, bool)) func(string) answer[V] {
	return func(name string) answer[V] { v, ok := f(name); return answer[V]{v: v, ok: ok} }
}

func (m *memo) Stat(path string) (File, error) {
	a := ask(m.files, path, fallible(m.Host.Stat))
	return a.v, a.err
}

func (m *memo) RealPath(path string) (string, error) {
	a := ask(m.paths, path, fallible(m.Host.RealPath))
	return a.v, a.err
}

func (m *memo) Interface(name string) (Interface, bool) {
	if m.all != nil {
		i, ok := m.all()[name]
		return i, ok
	}
	a := ask(m.interfaces, name, certain(m.Host.Interface))
	return a.v, a.ok
}

func (m *memo) Namespace(name string) (Host, string, error) {
	s, ok := m.spaces[name]
	if !ok {
		if s.host, s.id, s.err = m.Host.Namespace(name); s.err == nil {
			s.host = Remember(s.host)
		}
		m.spaces[name] = s
	}
	return s.host, s.id, s.err
}

func (m *memo) Links() []Link { return m.links() }

func (m *memo) VRFTable(name string) (uint32, bool) {
	a := ask(m.tables, name, certain(m.Host.VRFTable))
	return a.v, a.ok
}

func (m *memo) IPRouteName(usr, etc, table, name string) (uint32, bool) {
	a := ask(m.numbers, named{usr, etc, table, name}, func(n named) (a answer[uint32]) {
		a.v, a.ok = m.Host.IPRouteName(n.usr, n.etc, n.table, n.name)
		return a
	})
	return a.v, a.ok
}

func (m *memo) LookupUser(name string) (User, bool) {
	a := ask(m.users, name, certain(m.Host.LookupUser))
	return a.v, a.ok
}

func (m *memo) LookupGroup(name string) (uint32, bool) {
	a := ask(m.groups, name, certain(m.Host.LookupGroup))
	return a.v, a.ok
}

func (m *memo) Self() User {
	if m.self == nil {
		u := m.Host.Self()
		m.self = &u
	}
	return *m.self
}
