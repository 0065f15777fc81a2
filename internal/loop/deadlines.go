package loop

import "time"

// Deadlines keeps at most one deadline for each of any integers in an indexed heap: setting, clearing and asking for the next cost
// O(log n), which a scan of thousands of instances or checks does not. It needs memory for as many as there were at once. Equal deadlines are in
// the order of their ids, so that of hundreds of routers which share a rhythm none changes its place in it.
type Deadlines struct {
	heap []*item
	byID map[int]*item
	free []*item // to be used again
}

type item struct {
	at    time.Time
	id    int
	place int // in heap
}

func (e *item) before(o *item) bool { return e.at.Before(o.at) || e.id < o.id && e.at.Equal(o.at) }

// Set gives id the deadline at; the zero time clears it.
func (d *Deadlines) Set(id int, at time.Time) {
	e := d.byID[id]
	switch {
	case at.IsZero() && e == nil:
	case at.IsZero():
		d.remove(e)
	case e == nil:
		d.add(id, at)
	default:
		e.at = at
		d.up(e.place)
		d.down(e.place)
	}
}

// Next returns the earliest deadline; zero: there is none.
func (d *Deadlines) Next() time.Time {
	if len(d.heap) == 0 {
		return time.Time{}
	}
	return d.heap[0].at
}

// Due returns the id of the earliest deadline if that is not after now. The caller sets its next deadline, or clears it.
func (d *Deadlines) Due(now time.Time) (id int, ok bool) {
	if len(d.heap) == 0 || now.Before(d.heap[0].at) {
		return 0, false
	}
	return d.heap[0].id, true
}

func (d *Deadlines) add(id int, at time.Time) {
	var e *item
	if n := len(d.free); n > 0 {
		e, d.free = d.free[n-1], d.free[:n-1]
	} else {
		e = new(item)
	}
	*e = item{at, id, len(d.heap)}
	if d.byID == nil {
		d.byID = map[int]*item{}
	}
	d.byID[id] = e
	d.heap = append(d.heap, e)
	d.up(e.place)
}

func (d *Deadlines) remove(e *item) {
	last, place := len(d.heap)-1, e.place
	d.swap(place, last)
	d.heap = d.heap[:last]
	delete(d.byID, e.id)
	d.free = append(d.free, e)
	if place != last {
		d.up(place)
		d.down(place)
	}
}

func (d *Deadlines) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !d.heap[i].before(d.heap[parent]) {
			return
		}
		d.swap(i, parent)
		i = parent
	}
}

func (d *Deadlines) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(d.heap) {
			return
		}
		if r := least + 1; r < len(d.heap) && d.heap[r].before(d.heap[least]) {
			least = r
		}
		if !d.heap[least].before(d.heap[i]) {
			return
		}
		d.swap(i, least)
		i = least
	}
}

func (d *Deadlines) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].place, d.heap[j].place = i, j
}
