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

// In returns the part of v that concerns one network namespace. What belongs to no instance concerns that of the process, "".
func (v *VRRP) In(namespace string) *VRRP {
	here := 0
	for i := range v.Instances { // an Instance is large
		if v.Instances[i].NetNamespace == namespace {
			here++
		}
	}
	if namespace == "" && here == len(v.Instances) {
		return v
	}
	part := *v
	part.Instances = make([]Instance, 0, here)
	for i := range v.Instances {
		if v.Instances[i].NetNamespace == namespace {
			part.Instances = append(part.Instances, v.Instances[i])
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
