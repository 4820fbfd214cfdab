/*
 * segment.h
 *		How many segments a text takes on the air, and in which alphabet.
 *
 * 3GPP TS 23.038: a text of nothing but the GSM 7 bit default alphabet and its extension table
 * goes out in septets, any other in UTF-16 (called UCS-2 there).
 */
#ifndef OM_SEGMENT_H
#define OM_SEGMENT_H

#include <stddef.h>

typedef enum OmEncoding
{
	OM_ENCODING_GSM7,
	OM_ENCODING_UCS2
} OmEncoding;

typedef struct OmSegments
{
	OmEncoding	encoding;
	size_t		units;			/* septets, or units of UTF-16 */
	size_t		segments;		/* 0 only for the empty text */
} OmSegments;

/*
 * Count len bytes of UTF-8.  A byte that is none counts as one replacement character, which
 * makes it UCS-2.
 */
extern OmSegments om_segment_count(const char *text, size_t len);

/* "GSM-7" or "UCS-2", as Telnyx writes them */
extern const char *om_encoding_name(OmEncoding encoding);

#endif							/* OM_SEGMENT_H */
