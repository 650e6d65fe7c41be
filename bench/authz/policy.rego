package featward.bench

import rego.v1

default allow := false

# The same question as the sidecar's: may this identity read every feature that the body names?
allow if {
	input.method == "POST"
	input.path == "/get-online-features"
	count(input.body.features) > 0
	every feature in input.body.features {
		data.bindings[input.principal][feature]
	}
}
