"""CustomerService: check, call, answer."""

from typing import Any

from gateway.customers.commands import Customers
from gateway.customers.domain import customer_message
from gateway.customers.payment_methods import PaymentMethods
from gateway.customers.store import CustomerFilter, CustomerStore
from gateway.customers.stripe_events import CustomerEvents
from gateway.errors import ERRORS
from gateway.operations.commands import Commands
from gateway.stripe_client.client import StripeClient
from gateway.v1 import customer_pb2, customer_service_pb2_grpc
from gateway.v1 import customer_service_pb2 as pb
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
_STATE_PREFIX = "CUSTOMER_STATE_"


class CustomerServicer(customer_service_pb2_grpc.CustomerServiceServicer):
    """Customers and the payment methods that they have saved."""

    def __init__(
        self,
        stripe_client: StripeClient,
        store: CustomerStore,
        commands: Commands,
        events: CustomerEvents,
    ) -> None:
        self._store = store
        self._customers = Customers(stripe_client, store, commands, events)
        self._methods = PaymentMethods(stripe_client, self._customers, commands)
        self._page_tokens = PageTokens(ERRORS)

    async def CreateCustomer(
        self, request: pb.CreateCustomerRequest, _context: Any
    ) -> pb.CreateCustomerResponse:
        return pb.CreateCustomerResponse(customer=await self._customers.create(request))

    async def GetCustomer(
        self, request: pb.GetCustomerRequest, _context: Any
    ) -> pb.GetCustomerResponse:
        customer = await self._customers.stored(request.customer_id, request.corridor)
        return pb.GetCustomerResponse(customer=customer_message(customer))

    async def ListCustomers(
        self, request: pb.ListCustomersRequest, _context: Any
    ) -> pb.ListCustomersResponse:
        position = self._page_tokens.decode(request)
        if request.corridor:
            self._customers.corridor(request.corridor)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        state = customer_pb2.CustomerState.Name(request.state) if request.state else ""
        wanted = CustomerFilter(
            request.customer_id, request.corridor, state.removeprefix(_STATE_PREFIX)
        )
        found = await self._store.page(wanted, int(position[0]) if position else 0, size + 1)
        response = pb.ListCustomersResponse(
            customers=[customer_message(customer) for customer in found[:size]]
        )
        if len(found) > size:
            last = found[size - 1].customer_number
            response.next_page_token = self._page_tokens.encode(request, [last])
        return response

    async def UpdateCustomer(
        self, request: pb.UpdateCustomerRequest, _context: Any
    ) -> pb.UpdateCustomerResponse:
        return pb.UpdateCustomerResponse(customer=await self._customers.update(request))

    async def DeleteCustomer(
        self, request: pb.DeleteCustomerRequest, _context: Any
    ) -> pb.DeleteCustomerResponse:
        return pb.DeleteCustomerResponse(customer=await self._customers.delete(request))

    async def SavePaymentMethod(
        self, request: pb.SavePaymentMethodRequest, _context: Any
    ) -> pb.SavePaymentMethodResponse:
        return pb.SavePaymentMethodResponse(setup=await self._methods.save(request))

    async def GetPaymentMethodSetup(
        self, request: pb.GetPaymentMethodSetupRequest, _context: Any
    ) -> pb.GetPaymentMethodSetupResponse:
        return pb.GetPaymentMethodSetupResponse(setup=await self._methods.setup(request))

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, _context: Any
    ) -> pb.ListPaymentMethodsResponse:
        return await self._methods.list(request)

    async def SetDefaultPaymentMethod(
        self, request: pb.SetDefaultPaymentMethodRequest, _context: Any
    ) -> pb.SetDefaultPaymentMethodResponse:
        customer = await self._methods.set_default(request)
        return pb.SetDefaultPaymentMethodResponse(customer=customer)

    async def DetachPaymentMethod(
        self, request: pb.DetachPaymentMethodRequest, _context: Any
    ) -> pb.DetachPaymentMethodResponse:
        await self._methods.detach(request)
        return pb.DetachPaymentMethodResponse()
