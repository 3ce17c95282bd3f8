/* Calls Slurm's own library where no program of Slurm's makes the call from a command line.
 * Sees no header of any release: what it passes are numbers, texts and records that the library
 * itself gave out.
 *
 *   ask <libslurmfull.so> <call> [argument...]
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A step as 26.05's library takes it by value; older ones take the number alone. */
struct step {
	uint64_t sluid;
	uint32_t job_id, het, step_id;
};

static void *library;

/* The call of this name, as a function of anything. */
static void *call(const char *name)
{
	void *found = dlsym(library, name);
	if (!found) {
		fprintf(stderr, "ask: %s\n", dlerror());
		exit(3);
	}
	return found;
}

/* 26.05 and newer name a job by a step. */
static int names_steps(void)
{
	return dlsym(library, "slurm_get_resource_layout") != NULL
		&& dlsym(library, "slurm_controller_hostlist_expansion") != NULL;
}

/* Numbers of slurmdb messages that `slurmdb_usage_get` takes. */
enum { ASSOC_USAGE = 1411, CLUSTER_USAGE = 1413, WCKEY_USAGE = 1457 };

/* First record of what a listing call of the accounting daemon gives. */
static void *first(void *connection, const char *listing, void **list)
{
	void *(*get)(void *, void *) = call(listing);
	void *(*peek)(void *) = call("list_peek");
	*list = get(connection, NULL);
	return *list ? peek(*list) : NULL;
}

static int accounting(const char *what)
{
	uint16_t flags = 0;
	static char nothing[4096];
	void *list = NULL, *record;
	void *(*connect)(uint16_t *) = call("slurmdb_connection_get");
	int (*usage)(void *, void *, int, time_t, time_t) = call("slurmdb_usage_get");
	time_t now = time(NULL);
	void *connection = connect(&flags);
	if (!strcmp(what, "usage")) {
		record = first(connection, "slurmdb_associations_get", &list);
		usage(connection, record, ASSOC_USAGE, now - 86400, now);
		record = first(connection, "slurmdb_clusters_get", &list);
		usage(connection, record, CLUSTER_USAGE, now - 86400, now);
		record = first(connection, "slurmdb_wckeys_get", &list);
		usage(connection, record, WCKEY_USAGE, now - 86400, now);
		return 0;
	}
	if (!strcmp(what, "remove_wckeys")) {
		void *(*remove)(void *, void *) = call("slurmdb_wckeys_remove");
		remove(connection, nothing);
		return 0;
	}
	static const char *const kinds[] = { "accounts", "users", "associations", "wckeys" };
	for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++) {
		char name[64];
		if (strcmp(what, kinds[at]))
			continue;
		snprintf(name, sizeof name, "slurmdb_%s_get", kinds[at]);
		first(connection, name, &list);
		snprintf(name, sizeof name, "slurmdb_%s_add", kinds[at]);
		int (*add)(void *, void *) = call(name);
		return list ? add(connection, list) : 1;
	}
	return 2;
}

static int about_job(const char *name, uint32_t job)
{
	void *answer = NULL;
	if (names_steps()) {
		struct step step = { 0, job, 0xfffffffe, 0xfffffffe };
		int (*ask)(struct step, void **) = call(name);
		return ask(step, &answer);
	}
	int (*ask)(uint32_t, void **) = call(name);
	return ask(job, &answer);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "", *word = argc > 3 ? argv[3] : "";
	void *answer = NULL;
	library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_GLOBAL);
	if (!library) {
		fprintf(stderr, "ask: %s\n", dlerror());
		return 3;
	}
	void (*init)(const char *) = call("slurm_init");
	init(NULL);
	if (!strcmp(what, "job_user")) {
		int (*ask)(void **, uint32_t, uint16_t) = call("slurm_load_job_user");
		return ask(&answer, atoi(word), 0);
	}
	if (!strcmp(what, "node")) {
		int (*ask)(void **, const char *, uint16_t) = call("slurm_load_node_single");
		return ask(&answer, word, 0);
	}
	if (!strcmp(what, "end_time"))
		return about_job("slurm_get_end_time", atoi(word));
	if (!strcmp(what, "allocation"))
		return about_job("slurm_allocation_lookup", atoi(word));
	if (!strcmp(what, "energy")) {
		uint16_t sensors = 0;
		int (*ask)(const char *, uint16_t, uint16_t, uint16_t *, void **) =
			call("slurm_get_node_energy");
		return ask(word, 0, 10, &sensors, &answer);
	}
	if (!strcmp(what, "pull_trigger")) {
		static char trigger[1024];
		int (*ask)(void *) = call("slurm_pull_trigger");
		return ask(trigger);
	}
	if (!strcmp(what, "hostlist")) {
		int (*ask)(const char *, char **) = call("slurm_controller_hostlist_expansion");
		return ask(word, (char **) &answer);
	}
	/* A step begins with a longer number since 24.11. */
	if (!strcmp(what, "pids") || !strcmp(what, "pids_without_sluid")) {
		struct step step = { 0, atoi(word), 0xfffffffe, 0 };
		int (*ask)(void *, char *, void **) = call("slurm_job_step_get_pids");
		return ask(what[4] ? (void *) &step.job_id : &step, NULL, &answer);
	}
	if (!strcmp(what, "forward")) {
		char *nodes = strdup(word);
		int (*ask)(char **, const char *, uint32_t, const char *) = call("slurm_forward_data");
		return ask(&nodes, "/tmp/nobody.%n", 5, "hello");
	}
	return accounting(what);
}
