// Takes one payment with the code of docs/clients.md and prints it as JSON.
//
//	client ADDRESS REQUEST_ID MERCHANT_ID CUSTOMER_ID
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	moneyv1 "example.com/your/module/gen/money/v1"
	"example.com/your/module/pay"
	"example.com/your/module/replicas"
)

func main() {
	connection, err := replicas.Dial(os.Args[1], "service_config.json", grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	amount := &moneyv1.Money{CurrencyCode: "USD", MinorUnits: 4200}
	payment, err := pay.Take(
		context.Background(), connection, os.Args[2], os.Args[3], os.Args[4], "pm_card_visa", amount,
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(protojson.Format(payment))
}
