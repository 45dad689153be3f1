#include "client/client_loop.h"

#include "rpc/transport.h"
#include "runtime/loop_uv.h"

struct loop *client_loop_new(void)
{
	struct loop *l = loop_uv_new();

	transport_real_init(l);
	return l;
}

void client_loop_free(struct loop *l)
{
	transport_real_close(l);
	loop_uv_free(l);
}
