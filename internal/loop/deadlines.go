package loop

import "time"

// Deadlines keeps at most one deadline for each of the small integers 0..n-1 in an indexed heap: setting, clearing and asking for
// the next cost O(log n), which a scan of thousands of instances or checks does not.
type Deadlines struct {
	heap []item
	pos  []int // by id: its place in heap plus one; 0: no deadline
}

type item struct {
	at time.Time
	id int
}

// Set gives id the deadline at; the zero time clears it.
func (d *Deadlines) Set(id int, at time.Time) {
	for len(d.pos) <= id {
		d.pos = append(d.pos, 0)
	}
	i := d.pos[id] - 1
	switch {
	case at.IsZero() && i < 0:
	case at.IsZero():
		d.remove(i)
	case i < 0:
		d.heap = append(d.heap, item{at, id})
		d.pos[id] = len(d.heap)
		d.up(len(d.heap) - 1)
	default:
		d.heap[i].at = at
		d.up(i)
		d.down(i)
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

func (d *Deadlines) remove(i int) {
	last := len(d.heap) - 1
	d.pos[d.heap[i].id] = 0
	if i != last {
		d.heap[i] = d.heap[last]
		d.pos[d.heap[i].id] = i + 1
	}
	d.heap = d.heap[:last]
	if i != last {
		d.up(i)
		d.down(i)
	}
}

func (d *Deadlines) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !d.heap[i].at.Before(d.heap[parent].at) {
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
		if r := least + 1; r < len(d.heap) && d.heap[r].at.Before(d.heap[least].at) {
			least = r
		}
		if !d.heap[least].at.Before(d.heap[i].at) {
			return
		}
		d.swap(i, least)
		i = least
	}
}

func (d *Deadlines) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.pos[d.heap[i].id], d.pos[d.heap[j].id] = i+1, j+1
}
