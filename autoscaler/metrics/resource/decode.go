package resource

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	magic = "k8s\x00" // begins every answer in Kubernetes' protobuf
	kind  = "PodMetricsList"
	// maxItem is how long one item of a list may be, in bytes.
	maxItem = 4 << 20
)

// decode reads a list of pod metrics from r and gives them to add one by one, as
// one value that is overwritten. It returns where the list goes on, if it does.
func decode(r io.Reader, add func(*metricsv1beta1.PodMetrics)) (next string, err error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	begin, err := buffered.Peek(len(magic))
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	if string(begin) != magic {
		return decodeJSON(buffered, add)
	}
	_, _ = buffered.Discard(len(magic)) // is buffered
	return decodeProtobuf(buffered, add)
}

// decodeProtobuf reads a runtime.Unknown with a PodMetricsList in it.
//
// https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
func decodeProtobuf(r *bufio.Reader, add func(*metricsv1beta1.PodMetrics)) (next string, err error) {
	const typeMeta, raw = 1, 2 // fields of runtime.Unknown
	complete := false
	w := wire{r: r, left: -1}
	err = w.fields(func(field int, content *wire) error {
		switch field {
		case typeMeta:
			var m runtime.TypeMeta
			if err := content.message(&m); err != nil {
				return err
			}
			return wantKind(m.Kind)
		case raw:
			complete = true
			next, err = content.podMetricsList(add)
			return err
		}
		return nil
	})
	if err == nil && !complete {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", fmt.Errorf("decode the answer: %w", err)
	}
	return next, nil
}

func (w *wire) podMetricsList(add func(*metricsv1beta1.PodMetrics)) (next string, err error) {
	const listMeta, items = 1, 2 // fields of PodMetricsList
	var item metricsv1beta1.PodMetrics
	err = w.fields(func(field int, content *wire) error {
		switch field {
		case listMeta:
			var m metav1.ListMeta
			if err := content.message(&m); err != nil {
				return err
			}
			next = m.Continue
		case items:
			item = metricsv1beta1.PodMetrics{}
			if err := content.message(&item); err != nil {
				return err
			}
			add(&item)
		}
		return nil
	})
	return next, err
}

// wire reads fields of a protobuf message.
type wire struct {
	r *bufio.Reader
	// left is how many bytes the message has still; negative if it ends with r.
	left int64
	// buffer is used again and again.
	buffer []byte
}

// message is what Kubernetes' generated types have.
type message interface{ Unmarshal([]byte) error }

// fields gives each field of the message, of which all are of variable length, to
// read, with its content. What of it is not read is skipped.
func (w *wire) fields(read func(field int, content *wire) error) error {
	const lengthDelimited = 2
	content := wire{r: w.r}
	for w.left != 0 {
		if w.left < 0 {
			if _, err := w.r.Peek(1); errors.Is(err, io.EOF) {
				return nil
			}
		}
		tag, err := binary.ReadUvarint(w)
		if err != nil {
			return unexpected(err)
		}
		if tag&7 != lengthDelimited {
			return fmt.Errorf("field %d has wire type %d", tag>>3, tag&7)
		}
		length, err := binary.ReadUvarint(w)
		if err != nil {
			return unexpected(err)
		}
		if length > 1<<40 || w.left >= 0 && int64(length) > w.left {
			return fmt.Errorf("field %d is %d bytes long, its message ends before", tag>>3, length)
		}
		content.left = int64(length)
		if err := read(int(tag>>3), &content); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, w.r, content.left); err != nil {
			return unexpected(err)
		}
		if w.left > 0 {
			w.left -= int64(length)
		}
	}
	return nil
}

// ReadByte implements io.ByteReader.
func (w *wire) ReadByte() (byte, error) {
	if w.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	b, err := w.r.ReadByte()
	if err == nil && w.left > 0 {
		w.left--
	}
	return b, err
}

// message reads the rest into m.
func (w *wire) message(m message) error {
	if w.left > maxItem {
		return fmt.Errorf("an item is %d bytes long, at most %d are allowed", w.left, maxItem)
	}
	if int64(cap(w.buffer)) < w.left {
		w.buffer = make([]byte, 2*w.left)
	}
	b := w.buffer[:w.left]
	if _, err := io.ReadFull(w.r, b); err != nil {
		return unexpected(err)
	}
	w.left = 0
	return m.Unmarshal(b)
}

// unexpected makes of an end that it is not expected.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func wantKind(got string) error {
	if got != "" && got != kind {
		return fmt.Errorf("the answer is a %s, a %s is wanted", got, kind)
	}
	return nil
}

// jsonItem has the fields of PodMetrics that are read.
type jsonItem struct {
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Timestamp  metav1.Time                       `json:"timestamp"`
	Window     metav1.Duration                   `json:"window"`
	Containers []metricsv1beta1.ContainerMetrics `json:"containers"`
}

func decodeJSON(r io.Reader, add func(*metricsv1beta1.PodMetrics)) (next string, err error) {
	d := json.NewDecoder(r)
	err = object(d, func(key string) error {
		switch key {
		case "kind":
			var got string
			if err := d.Decode(&got); err != nil {
				return err
			}
			return wantKind(got)
		case "metadata":
			var m metav1.ListMeta
			err := d.Decode(&m)
			next = m.Continue
			return err
		case "items":
			return items(d, add)
		}
		return d.Decode(&json.RawMessage{})
	})
	if err != nil {
		return "", fmt.Errorf("decode the answer: %w", unexpected(err))
	}
	return next, nil
}

// object gives the keys of an object to read, which reads the value.
func object(d *json.Decoder, read func(key string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(err, errors.New("an object is wanted"))
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // the key of an object is one
		if err := read(name); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func items(d *json.Decoder, add func(*metricsv1beta1.PodMetrics)) error {
	switch t, err := d.Token(); {
	case err != nil:
		return err
	case t == nil: // null
		return nil
	case t != json.Delim('['):
		return errors.New("items: an array is wanted")
	}
	var item metricsv1beta1.PodMetrics
	for d.More() {
		var read jsonItem
		if err := d.Decode(&read); err != nil {
			return err
		}
		item = metricsv1beta1.PodMetrics{Timestamp: read.Timestamp, Window: read.Window, Containers: read.Containers}
		item.Name, item.Namespace = read.Metadata.Name, read.Metadata.Namespace
		add(&item)
	}
	_, err := d.Token()
	return err
}
