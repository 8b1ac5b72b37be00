module example.com/own-autoscaler

go 1.26.0

require github.com/plimsoll-k8s/plimsoll v0.0.0
