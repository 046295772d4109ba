// Calls every method of an external scaler with the client that KEDA generates for itself, and prints a line an answer.
//
//	client ADDRESS KEY=VALUE...
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func told(what string, err error) bool {
	if err != nil {
		said := status.Convert(err)
		fmt.Printf("%s %s: %s\n", what, said.Code(), said.Message())
	}
	return err == nil
}

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer connection.Close()
	client := externalscaler.NewExternalScalerClient(connection)
	wait, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	ref := &externalscaler.ScaledObjectRef{Name: "edge", Namespace: "exchange", ScalerMetadata: map[string]string{}}
	for _, pair := range os.Args[2:] {
		key, value, _ := strings.Cut(pair, "=")
		ref.ScalerMetadata[key] = value
	}
	if active, err := client.IsActive(wait, ref); told("IsActive", err) {
		fmt.Println("IsActive", active.Result)
	}
	if stream, err := client.StreamIsActive(wait, ref); told("StreamIsActive", err) {
		if first, err := stream.Recv(); told("StreamIsActive", err) {
			fmt.Println("StreamIsActive", first.Result)
		}
	}
	name := ""
	if specs, err := client.GetMetricSpec(wait, ref); told("GetMetricSpec", err) {
		for _, one := range specs.MetricSpecs {
			name = one.MetricName
			fmt.Println("GetMetricSpec", one.MetricName, one.TargetSize, one.TargetSizeFloat)
		}
	}
	if stream, err := client.StreamMetricSpec(wait, ref); told("StreamMetricSpec", err) {
		if first, err := stream.Recv(); told("StreamMetricSpec", err) {
			fmt.Println("StreamMetricSpec", len(first.MetricSpecs), first.MetricSpecs[0].MetricName)
		}
	}
	asked := &externalscaler.GetMetricsRequest{ScaledObjectRef: ref, MetricName: name}
	if values, err := client.GetMetrics(wait, asked); told("GetMetrics", err) {
		for _, one := range values.MetricValues {
			fmt.Println("GetMetrics", one.MetricName, one.MetricValue, one.MetricValueFloat)
		}
	}
}
