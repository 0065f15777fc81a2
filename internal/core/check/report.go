package check

// reported takes what a BFD session says of the server (checkers.md §10): no retries, no rhythm. The first word is told even if it
// changes nothing.
func (m *Monitor) reported(up bool, out []Action) []Action {
	if m.hasRun && up == m.up {
		return out
	}
	was := m.up
	m.up, m.hasRun = up, true
	word, kind := "DOWN", Down
	if up {
		word, kind = "UP", Up
	}
	out = m.say(out, "BFD check of [%s] RS(%s) is %s", m.spec.BFD.Name, m.on.Server, word)
	switch {
	case was != up:
		verb := "failed"
		if up {
			verb = "succeeded"
		}
		body := "=> BFD CHECK " + m.spec.BFD.Name + " " + verb + " on service <="
		return append(out, Action{Kind: kind}, Action{Kind: Alert, Up: up, Line: body})
	case !up:
		return append(out, Action{Kind: Down, First: true})
	}
	return out
}
