package pluginargs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/plimsoll-k8s/plimsoll/pkg/pluginargs"
)

type args struct {
	Depth int     `json:"depth"`
	Price *prices `json:"price,omitempty"`
}

type prices struct {
	Base float64 `json:"base"`
}

func TestDecode(t *testing.T) {
	tests := map[string]struct {
		obj  runtime.Object
		want args
	}{
		"no args are the defaults":             {obj: nil, want: args{Depth: 3}},
		"empty args are the defaults":          {obj: &runtime.Unknown{}, want: args{Depth: 3}},
		"an empty object is the defaults":      {obj: raw(`{}`), want: args{Depth: 3}},
		"null is the defaults":                 {obj: raw(`null`), want: args{Depth: 3}},
		"a set field replaces its default":     {obj: raw(`{"depth":5}`), want: args{Depth: 5}},
		"zero replaces a default that is not":  {obj: raw(`{"depth":0}`), want: args{}},
		"fields not set keep their default":    {obj: raw(`{"price":{"base":2}}`), want: args{Depth: 3, Price: &prices{2}}},
		"YAML is read when it says that it is": {obj: yamlArgs("depth: 7\n"), want: args{Depth: 7}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := pluginargs.Decode(test.obj, args{Depth: 3})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("args (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRejects(t *testing.T) {
	tests := map[string]struct {
		obj  runtime.Object
		says string
	}{
		"a misspelt field":               {raw(`{"dept":1}`), `unknown field "dept"`},
		"a misspelt field below another": {raw(`{"price":{"bse":1}}`), `unknown field "price.bse"`},
		"another case of letters":        {raw(`{"Depth":1}`), `unknown field "Depth"`},
		"a field given twice":            {raw(`{"depth":1,"depth":2}`), `duplicate field "depth"`},
		"the wrong type":                 {raw(`{"price":{"base":"a"}}`), "price.base"},
		"a number too large for it":      {raw(`{"price":{"base":1e999}}`), "price.base"},
		"text that is not JSON":          {raw(`depth: 1`), "invalid character"},
		"a YAML field given twice":       {yamlArgs("depth: 1\ndepth: 2\n"), `"depth" already set`},
		"an unknown encoding":            {&runtime.Unknown{ContentType: "application/cbor", Raw: []byte{1}}, `"application/cbor"`},
		"an object of another type":      {&v1.Pod{}, "*v1.Pod"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := pluginargs.Decode(test.obj, args{Depth: 3})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %+v, error %v, want an error with %s", got, err, test.says)
			}
		})
	}
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add(`{"depth":1,"price":{"base":0.5}}`)
	f.Add(`{"depth":`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := pluginargs.Decode(raw(text), args{Depth: 3})
		if err != nil && got != (args{Depth: 3}) {
			t.Errorf("an error came with %+v, not with the defaults", got)
		}
	})
}

func raw(text string) runtime.Object { return &runtime.Unknown{Raw: []byte(text)} }

func yamlArgs(text string) runtime.Object {
	return &runtime.Unknown{Raw: []byte(text), ContentType: runtime.ContentTypeYAML}
}
