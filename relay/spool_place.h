/*
 * spool_place.h
 *		Where the spool's file is, and that it is ours alone.
 *
 * Each says in error why not, for people.
 */
#ifndef OM_RELAY_SPOOL_PLACE_H
#define OM_RELAY_SPOOL_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* May the file be in this directory? */
extern bool om_spool_place_check(const char *directory, char *error, size_t error_size);

/* The lock beside the file, to be closed at the end; below zero when another relay has it */
extern int	om_spool_place_lock(const char *path, char *error, size_t error_size);

/* Make the file, if there is none, with a mode that is ours */
extern bool om_spool_place_make(const char *path, char *error, size_t error_size);

extern bool om_spool_place_flush(const char *directory, char *error, size_t error_size);

#endif							/* OM_RELAY_SPOOL_PLACE_H */
