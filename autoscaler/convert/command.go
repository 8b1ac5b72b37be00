package convert

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

const example = `  # What would the HorizontalPodAutoscalers of a namespace be?
  kubectl get hpa --namespace shop --output yaml | plimsoll-autoscaler convert -f -

  # A ScaledObject that asks two Prometheus servers:
  plimsoll-autoscaler convert -f scaledobject.yaml \
    --prometheus-server http://prometheus.monitoring:9090 \
    --prometheus-server long-term=https://thanos.example.com

  # Count pods by the selector of the workload, as the HorizontalPodAutoscaler does:
  plimsoll-autoscaler convert -f hpa.yaml --pod-selection Selector`

// NewCommand returns the command that converts a file.
func NewCommand() *cobra.Command {
	var file, selection string
	var servers []string
	cmd := &cobra.Command{
		Use:   "convert -f FILE",
		Short: "Turn HorizontalPodAutoscalers and ScaledObjects into WorkloadAutoscalers",
		Long: `convert reads HorizontalPodAutoscalers (autoscaling/v1 and v2), KEDA ScaledObjects
(triggers prometheus, cpu, memory and cron) and lists of them, and writes
WorkloadAutoscalers that do the same to standard output.

What cannot be kept is refused by the path of its field: then nothing is written
and the command fails. What is kept with a difference is said on standard error.

It changes nothing in a cluster. Two autoscalers of one workload would undo each
other's work: apply the result with spec.mode: Recommend beside the old object,
compare, then delete that and set the mode to Auto.`,
		Example:       example,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := Options{PodSelection: v1alpha1.PodSelection(selection)}
			if o.PodSelection != v1alpha1.PodSelectionOwner && o.PodSelection != v1alpha1.PodSelectionSelector {
				return fmt.Errorf("--pod-selection %q: must be Owner or Selector", selection)
			}
			var err error
			if o.Servers, err = parseServers(servers); err != nil {
				return err
			}
			return convertFile(cmd, file, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "filename", "f", "", "File to convert, YAML or JSON; - for standard input. Required.")
	flags.StringArrayVar(&servers, "prometheus-server", nil, "Name and URL, as name=URL, of a Prometheus server of the operator's configuration; the URL alone for the one named default. May be repeated.")
	flags.StringVar(&selection, "pod-selection", string(v1alpha1.DefaultPodSelection), "Which pods are the workload's: Owner, those it owns, or Selector, all that match its selector, as for the HorizontalPodAutoscaler.")
	return cmd
}

func convertFile(cmd *cobra.Command, file string, o Options) error {
	var in io.Reader = cmd.InOrStdin()
	switch file {
	case "":
		return fmt.Errorf("--filename: must be a file, or - for standard input")
	case "-":
	default:
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("--filename: %w", err)
		}
		defer f.Close()
		in = f
	}
	return Convert(in, cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
}

// parseServers reads name=URL, or a URL alone for the default server.
func parseServers(texts []string) (map[string]string, error) {
	servers := map[string]string{}
	for _, text := range texts {
		name, address, named := strings.Cut(text, "=")
		if !named || strings.Contains(name, "/") {
			name, address = v1alpha1.DefaultServerName, text
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || name == "" {
			return nil, fmt.Errorf("--prometheus-server %q: must be name=URL or URL, for example http://prometheus:9090", text)
		}
		servers[address] = name
	}
	return servers, nil
}
