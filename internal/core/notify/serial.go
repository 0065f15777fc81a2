package notify

// maxOthers bounds the programs of one object that wait and tell of no state.
const maxOthers = 16

// Serial has the programs of one object run one after the other: notify_serialize. While one runs the newest state waits, and takes the
// place of an older one that has not begun: the last program to run tells of the last state. The zero value is ready.
type Serial struct {
	objects map[string]*serial
}

// serial is what waits while a program of the object runs.
type serial struct {
	state  []Delivery
	others []Delivery // of events that are no state, oldest first; beyond the bound they are dropped
}

// Object names what c is about, if its programs are to run one at a time; state is true if c is a state that stands for all before it.
func Object(c Change) (object string, state, ok bool) {
	switch c := c.(type) {
	case Instance:
		return "instance " + c.Of.Name, true, true
	case LowerPriority:
		return "instance " + c.Of.Name, false, true
	case Group:
		return "group " + c.Of.Name, true, true
	}
	return "", false, false
}

// Add queues the programs of one change and returns the one to be started now, nil if another one runs.
func (s *Serial) Add(object string, programs []Delivery, state bool) *Delivery {
	if len(programs) == 0 {
		return nil
	}
	q, running := s.objects[object]
	if !running {
		if s.objects == nil {
			s.objects = map[string]*serial{}
		}
		q = &serial{}
		s.objects[object] = q
	}
	switch {
	case state:
		q.state = append([]Delivery(nil), programs...)
	case len(q.others) < maxOthers:
		q.others = append(q.others, programs...)
	}
	if running {
		return nil
	}
	return s.Done(object)
}

// Done is to be called when the program that was started last for an object has ended. It returns the next one, nil if there is none.
func (s *Serial) Done(object string) *Delivery {
	q := s.objects[object]
	if q == nil {
		return nil
	}
	for _, list := range []*[]Delivery{&q.others, &q.state} {
		if len(*list) > 0 {
			d := (*list)[0]
			*list = (*list)[1:]
			return &d
		}
	}
	delete(s.objects, object)
	return nil
}

// Rest returns what waits for an object and forgets it: at the end nothing waits any longer.
func (s *Serial) Rest(object string) []Delivery {
	q := s.objects[object]
	if q == nil {
		return nil
	}
	delete(s.objects, object)
	return append(q.others, q.state...)
}
