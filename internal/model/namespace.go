package model

import "slices"

// Namespaces are the network namespaces of the instances, without that of the process, in the order of the configuration.
func (v *VRRP) Namespaces() (names []string) {
	for i := range v.Instances {
		if n := v.Instances[i].NetNamespace; n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// In returns the part of v that concerns one network namespace. Everything that belongs to no instance concerns that of the process, ""; limits
// of the rate of announcements are for no namespace in particular, and in none.
func (v *VRRP) In(namespace string) *VRRP {
	foreign := func(i Instance) bool { return i.NetNamespace != namespace }
	if namespace == "" && !slices.ContainsFunc(v.Instances, foreign) {
		return v
	}
	part := *v
	part.Instances = nil // not a shortened copy: hundreds of those would be large
	for _, i := range v.Instances {
		if !foreign(i) {
			part.Instances = append(part.Instances, i)
		}
	}
	part.Linkbeat = slices.DeleteFunc(slices.Clone(v.Linkbeat), func(l Linkbeat) bool { return l.Namespace != namespace })
	if !slices.ContainsFunc(part.Instances, func(i Instance) bool { return i.Filtered() }) {
		part.Filter = Filter{}
	}
	if namespace != "" {
		part.Statics, part.TrackGroups, part.IfDebounce, part.GARPDelay = Objects{}, nil, nil, nil
	}
	return &part
}

// Filtered reports whether packets have to be filtered for the instance.
func (i *Instance) Filtered() bool { return !i.Accept || i.VLink.Kind == Macvlan }
