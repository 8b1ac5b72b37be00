// Package buildinfo says which version of Plimsoll, and of the modules in it, a program was built
// from, as the Go linker recorded it.
package buildinfo

import "runtime/debug"

// unknown is the version of what was not recorded.
const unknown = "unknown"

// Version is the version of the program's own module: a tag, a pseudo-version, or "(devel)".
func Version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok || build.Main.Version == "" {
		return unknown
	}
	return build.Main.Version
}

// Module is the version of a module that the program was built with, "unknown" if it is not part
// of it.
func Module(path string) string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == path {
				return module.Version
			}
		}
	}
	return unknown
}
