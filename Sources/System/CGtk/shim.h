#pragma once
/* The code uses GTK as Debian 12 has it. Later versions deprecate some of it, and a warning would stop the
 * build. */
#define GLIB_DISABLE_DEPRECATION_WARNINGS
#define GDK_DISABLE_DEPRECATION_WARNINGS
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <gtk/gtk.h>

/* GTK's macros and variadic functions, which Swift does not import, as typed inlines. */

static const GType CGTK_TYPE_STRING = G_TYPE_STRING;
static const GType CGTK_TYPE_BOOLEAN = G_TYPE_BOOLEAN;
static const int CGTK_PATH_ONLY = __O_PATH | O_CLOEXEC; /* a descriptor of a file without opening it */

/* Types of variants: a text; a tuple of one; an entry of a dictionary from texts to anything. */
static inline const GVariantType *cgtk_text(void)
{
	return G_VARIANT_TYPE_STRING;
}

static inline const GVariantType *cgtk_one_text(void)
{
	return G_VARIANT_TYPE("(s)");
}

static inline const GVariantType *cgtk_named_value(void)
{
	return G_VARIANT_TYPE("{sv}");
}

/* Calls back with every argument of the signal as a GValue, so that one callback serves all signals. */
static inline void cgtk_connect(gpointer instance, const char *signal, GClosureMarshal marshal, gpointer data,
				GClosureNotify forgotten)
{
	GClosure *closure = g_closure_new_simple(sizeof(GClosure), data);

	g_closure_add_finalize_notifier(closure, data, forgotten);
	g_closure_set_marshal(closure, marshal);
	g_signal_connect_closure(instance, signal, closure, FALSE);
}

static inline gpointer cgtk_closure_data(GClosure *closure)
{
	return closure->data;
}

/* A box with a role, which can only be given when it is made. */
static inline GtkWidget *cgtk_box_with_role(GtkOrientation orientation, int spacing, GtkAccessibleRole role)
{
	return g_object_new(GTK_TYPE_BOX, "orientation", orientation, "spacing", spacing, "accessible-role",
			    role, NULL);
}

static inline void cgtk_set_accessible_text(GtkWidget *widget, GtkAccessibleProperty property,
					    const char *text)
{
	gtk_accessible_update_property(GTK_ACCESSIBLE(widget), property, text, -1);
}

/* A question in front of a window; its texts are texts and no markup. */
static inline GtkWidget *cgtk_question(GtkWindow *parent, const char *question, const char *detail)
{
	GtkWidget *dialog = gtk_message_dialog_new(parent, GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
						   GTK_MESSAGE_QUESTION, GTK_BUTTONS_NONE, "%s", question);

	gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(dialog), "%s", detail);
	return dialog;
}
