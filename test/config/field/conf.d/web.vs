virtual_server 192.0.2.90 80 {
  lb_algo rr
  lb_kind DR
  protocol TCP
  real_server 192.0.2.31 80 { TCP_CHECK }
}
