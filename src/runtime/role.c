#include "runtime/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "runtime/process.h"

#define LOG_MODULE "role"
#include "runtime/log.h"

/* DIR/address, whole or not at all: a line for each "key=ADDRESS". */
static void keep_addresses(const char *dir, const char *addresses)
{
	char *file = mem_printf("%s/address", dir);
	char *fresh = mem_printf("%s.new", file);
	FILE *f = fopen(fresh, "we");
	const char *p;

	for (p = addresses; f && *p; p++)
		fputc(*p == ' ' ? '\n' : *p, f);
	if (f)
		fputc('\n', f);
	if (!f || fclose(f) != 0 || rename(fresh, file) < 0)
		log_warn("address not kept", "file=%s why=%s", file,
			 err_text(-errno));
	free(fresh);
	free(file);
}

void role_ready(const struct role_env *env, const char *addresses)
{
	char *packet;

	keep_addresses(env->dir, addresses);
	log_info("serving", "addresses=\"%s\"", addresses);
	if (env->ctl_fd < 0) {
		process_ready(addresses);
		return;
	}
	packet = mem_printf("R%s", addresses);
	if (send(env->ctl_fd, packet, strlen(packet), MSG_NOSIGNAL) < 0)
		log_warn("supervisor not told", "why=%s", err_text(-errno));
	free(packet);
}
